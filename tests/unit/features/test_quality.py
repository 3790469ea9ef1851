"""The features that a pipeline names, each by its function."""

import numpy as np

from haste_core.features.focus import correlation, local_focus_score
from haste_core.features.intensity import intensity, saturated_fraction
from haste_core.features.lifts import lifts
from haste_core.features.quality import (
    FEATURE_OF_NUMBER,
    QUALITY_FEATURES,
    QualityOptions,
    measure_quality,
)
from tests.unit.features.fields import levels, spots


def test_all_that_is_named_is_measured_with_the_options_given() -> None:
    image = levels(spots(1))
    image[:3] = 4095
    values, undefined = measure_quality(image, QUALITY_FEATURES, QualityOptions(scale=7, bits=12))
    assert undefined == {}
    assert set(values) == set(FEATURE_OF_NUMBER)
    assert len(values) == len(QUALITY_FEATURES) - 2 + 7 + 2
    assert set(FEATURE_OF_NUMBER.values()) == set(QUALITY_FEATURES)
    assert values["local_focus_score"] == local_focus_score(image, scale=7)
    assert values["correlation"] == correlation(image, scale=7)
    assert values["saturated_fraction"] == saturated_fraction(image, bits=12) > 0
    assert values["mad_intensity"] == intensity(image).mad
    assert (values["noise_lift"], values["speck_lift"]) == (lifts(image).noise, lifts(image).specks)


def test_what_is_undefined_has_a_reason_and_no_number() -> None:
    values, undefined = measure_quality(
        np.full((64, 64), 7, np.uint8), ["correlation", "percent_maximal"], QualityOptions()
    )
    assert values == {"percent_maximal": 100}
    assert "no texture" in undefined["correlation"]

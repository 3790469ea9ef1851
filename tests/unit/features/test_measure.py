"""One call gives all features, and reasons in the place of errors."""

import numpy as np
import pytest

from haste_core.features import Features, measure, plls, signal_fraction
from tests.unit.features.fields import noise, spots


def test_a_specimen_has_all_features() -> None:
    image = spots(1)
    assert measure(image) == Features(
        plls=plls(image), signal_fraction=signal_fraction(image), empty=False, undefined=None
    )


def test_noise_has_a_slope_but_is_empty() -> None:
    features = measure(noise(1))
    assert features.plls is not None
    assert features.plls > 0.9
    assert (features.empty, features.signal_fraction) == (True, 0)


@pytest.mark.parametrize("image", [np.full((64, 64), 5), np.ones((8, 8)), np.full((64, 64), np.nan)])
def test_what_is_undefined_has_a_reason(image: np.ndarray) -> None:
    features = measure(image)
    assert (features.plls, features.signal_fraction, features.empty) == (None, 0, True)
    assert features.undefined


def test_what_is_no_plane_is_an_error() -> None:
    with pytest.raises(ValueError, match="one plane"):
        measure(np.zeros((3, 64, 64)))

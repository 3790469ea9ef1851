"""What is misspelt in a function is told with what may have been meant."""

from typing import Any

import pytest

from haste_core.interestingness import ScoredObject
from haste_core.pipelines import InterestingnessSpec
from haste_core.unknown_names import unknown_names

SEEN = [
    ScoredObject({"plls": -1.0, "signal_fraction": 0.4, "facts": {"exposure_ms": 20}}, {"share": 0.5}),
    ScoredObject({"plls": -1.0, "signal_fraction": 0.4, "empty": False}, {"well": "A01"}),
]


def spec(function: str, undefined_if: Any = None, **parameters: Any) -> InterestingnessSpec:
    return InterestingnessSpec(
        function=function, features_from="focus-score", undefined_if=undefined_if, parameters=parameters
    )


@pytest.mark.parametrize(
    ("asked", "name", "hint"),
    [
        (spec("logistic", feature="PLSL", k=1.0, x0=0.0), "PLSL", "did you mean 'plls'?"),
        (spec("quantile", feature="plls "), "plls ", "did you mean 'plls'?"),
        (spec("expression", expression="signal_fracton * 2 + plls"), "signal_fracton", "'signal_fraction'?"),
        (spec("expression", expression="facts.exposure"), "facts.exposure", "'facts.exposure_ms'?"),
        (spec("expression", expression="metadata.wel"), "metadata.wel", "did you mean 'metadata.well'?"),
        (spec("precomputed", field="shares"), "metadata.shares", "did you mean 'metadata.share'?"),
        (spec("rest", url="http://127.0.0.1/", fields=["pls"]), "pls", "did you mean 'plls'?"),
        (
            spec("logistic", feature="xyz", k=1.0, x0=0.0),
            "xyz",
            "they have empty, facts, plls, signal_fraction",
        ),
        (spec("logistic", feature="metadata", k=1.0, x0=0.0), "metadata", "they have"),
    ],
)
def test_a_name_that_no_image_has_is_told(asked: InterestingnessSpec, name: str, hint: str) -> None:
    (said,) = unknown_names(asked, SEEN)
    assert said.startswith(f"{asked.function} looks at {name!r}, which no image has (of 2 that were scored")
    assert hint in said


def test_a_misspelt_condition_is_told_although_it_is_simply_never_true() -> None:
    conditions = {"blank": "signl_fraction < 0.1", "empty field": "empty or signl_fraction == 0"}
    (said,) = unknown_names(spec("logistic", conditions, feature="plls", k=1.0, x0=0.0), SEEN)
    assert said.startswith("undefined_if looks at 'signl_fraction'")
    assert said.endswith("did you mean 'signal_fraction'?")


@pytest.mark.parametrize(
    "asked",
    [
        spec("logistic", "empty", feature="plls", k=1.0, x0=0.0),
        spec("expression", expression="facts.exposure_ms / 100 + metadata.share"),
        spec("expression", expression="timestamp / 100"),  # known of each image, if only as null
        spec("precomputed", field="share"),
        spec("rest", url="http://127.0.0.1/"),
        spec("a-lab's own", feature="plsl"),
    ],
)
def test_what_some_image_has_is_no_reason_to_warn(asked: InterestingnessSpec) -> None:
    assert unknown_names(asked, SEEN) == []


def test_where_nothing_was_scored_nothing_is_known() -> None:
    assert unknown_names(spec("logistic", feature="plsl", k=1.0, x0=0.0), []) == []

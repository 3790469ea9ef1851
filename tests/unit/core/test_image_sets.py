"""Image sets: what makes one, when it is all there, and one score of several."""

import json
import math
import re
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from haste_core.errors import InvalidError
from haste_core.image_sets import (
    ImageSetSpec,
    Member,
    MemberScore,
    MemberState,
    combined,
    counts,
    described,
    missing,
    waits_until,
)
from haste_core.pipelines import Pipeline

SITE = {"plate": "p7", "well": "A01", "site": 3}
GROUP = {"group_by": ["plate", "well", "site"]}


def set_of(**more: Any) -> ImageSetSpec:
    return ImageSetSpec.model_validate(GROUP | {"expected": 2, "combine": "mean"} | more)


def member(channel: str = "DAPI", state: MemberState = MemberState.WAITING, **more: Any) -> Member:
    given = {"source_id": f"{channel}.tif", "metadata": SITE | {"channel": channel}, "since": 100.0} | more
    return Member(state=state, **given)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"combine": "reference"}, "channel: DAPI"),
        ({"channel": "Cy5", "expected": {"channels": ["DAPI"]}}, "none of those"),
        ({"expected": 0}, "greater than or equal to 1"),
        ({"group_by": []}, "at least 1"),
        ({"group_timeout_s": math.inf}, "finite"),
        ({"group_timeout_s": 0}, "greater than 0"),
        ({"colour": "red"}, "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        set_of(**wrong)


@given(st.lists(st.text(max_size=120) | st.integers(), min_size=3, max_size=3), st.data())
def test_keys_are_the_same_exactly_where_all_values_are(values: list[Any], data: st.DataObject) -> None:
    others = data.draw(st.just(values) | st.lists(st.text(max_size=3), min_size=3, max_size=3))
    spec = set_of()
    first, second = (spec.key_of(dict(zip(SITE, each, strict=True))) for each in (values, others))
    assert first is not None
    assert len(first) <= 200
    assert (first == second) == ([str(value) for value in values] == [str(value) for value in others])


@pytest.mark.parametrize(
    "metadata", [{}, {"plate": "p7", "well": "A01"}, SITE | {"site": None}, SITE | {"well": ["A"]}]
)
def test_an_image_that_lacks_a_field_belongs_to_no_set(metadata: dict[str, Any]) -> None:
    assert set_of().key_of(metadata) is None
    assert json.loads(set_of().key_of(SITE) or "") == ["p7", "A01", "3"]


def test_what_is_missing() -> None:
    two = [member("DAPI"), member("GFP")]
    assert missing(set_of(), two) == ()
    assert missing(set_of(expected=5), two) == ("3 of 5 images",)
    assert missing(set_of(expected={"channels": ["DAPI", "Cy5"]}), two) == ("channel Cy5",)
    planes = {"channels": ["DAPI", "GFP"], "planes": 2}
    assert missing(set_of(expected=planes), [*two, member("GFP")]) == ("1 of 2 planes of channel DAPI",)


def test_a_set_is_waited_for_since_its_first_features() -> None:
    spec = set_of(group_timeout_s=60)
    late, failed = member("GFP", since=130.0), member("GFP", MemberState.LEFT_OUT, since=None)
    coming = member("Cy5", MemberState.COMING, since=None)
    assert waits_until(spec, [member(), late], more_come=True) is None
    assert waits_until(spec, [member(), failed], more_come=True) is None
    assert waits_until(spec, [late], more_come=True) == 190.0
    assert waits_until(spec, [late, member()], more_come=True) is None
    assert waits_until(spec, [late, member(), coming], more_come=True) == 160.0


def test_where_no_more_come_only_those_that_were_submitted_are_waited_for() -> None:
    spec = set_of(group_timeout_s=60)
    assert waits_until(spec, [member()], more_come=False) is None
    assert waits_until(spec, [member("GFP", MemberState.LEFT_OUT, since=None)], more_come=False) is None
    coming = member("Cy5", MemberState.COMING, since=None)
    assert waits_until(spec, [member(), coming], more_come=False) == 160.0


SCORES = st.lists(
    st.tuples(st.sampled_from(["DAPI", "GFP", "Cy5"]), st.none() | st.floats(0, 1)), min_size=1, max_size=9
)


@given(SCORES, st.sampled_from(["min", "mean", "max", "reference"]), st.sampled_from(["best", "all"]))
def test_one_score_of_several(scores: list[tuple[str, float | None]], combine: str, z: str) -> None:
    spec = set_of(combine=combine, z=z, channel="DAPI")
    given_scores = [
        MemberScore(one, score, "empty") for channel, score in scores if counts(spec, one := member(channel))
    ]
    score, how = combined(spec, given_scores)
    used: dict[str, list[float]] = {}
    for channel, value in scores:
        if value is not None and (combine != "reference" or channel == "DAPI"):
            used.setdefault(channel, []).append(value)
    values = (
        [max(planes) for planes in used.values()] if z == "best" else [v for p in used.values() for v in p]
    )
    if not values:
        assert score is None
        assert how.startswith("no score: ")
        return
    assert score is not None
    assert 0 <= score <= 1
    expected = {"min": min, "max": max}.get(combine, fmean)
    assert score == pytest.approx(expected(values))
    assert f"{score:.4f}" in how


def test_failed_and_coming_images_have_no_part_in_the_score() -> None:
    spec = set_of()
    assert [counts(spec, member(state=state)) for state in MemberState] == [False, True, True, False]


def test_a_set_says_what_it_is_made_of() -> None:
    spec = set_of(expected={"channels": ["DAPI", "GFP", "Cy3", "Cy5", "phase"]})
    members = [member("DAPI"), member("DAPI"), member("GFP", MemberState.DECIDED)]
    members += [member("Cy3", MemberState.LEFT_OUT), member("phase", MemberState.COMING)]
    assert described(spec, members) == (
        "image set plate p7 well A01 site 3: channels DAPI (2 planes), GFP; "
        "incomplete (channel Cy5 missing, channel Cy3 failed, channel phase not there yet)"
    )
    assert described(set_of(), members[:2]).endswith(": channel DAPI (2 planes); complete")
    many = [member(str(number)) for number in range(12)]
    assert described(spec, many).split(";")[0].endswith("8, 9 and 2 more")


def test_no_features_at_all() -> None:
    assert combined(set_of(combine="reference", channel="DAPI"), []) == (
        None,
        "no score: there are no features of channel DAPI",
    )


def test_the_pipeline_of_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/image-sets.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    spec = Pipeline.parse(yaml.safe_load(block)).image_set
    assert spec is not None
    assert spec.key_of(SITE) == '["p7", "A01", "3"]'
    shown = " ".join(re.findall(r"\*(image set plate .*?)\*", page, re.DOTALL)[0].split())
    members = [
        *(member(channel, metadata=SITE | {"channel": channel}) for channel in ("DAPI", "GFP", "phase")),
        member("Cy3", MemberState.LEFT_OUT),
    ]
    assert shown.startswith(described(spec, members))


def test_only_tiers_are_decided_about_as_sets() -> None:
    pipeline = {
        "name": "a",
        "description": "",
        "tasks": "focus-score",
        "image_set": GROUP | {"expected": 2, "combine": "max"},
    }
    with pytest.raises(InvalidError, match="tier"):
        Pipeline.parse(pipeline)

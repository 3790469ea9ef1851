"""Rules that raise alerts: when, how often, and what they say."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.alert_rules import AlertRule
from haste_core.alerts import (
    Counts,
    Fill,
    Raised,
    RuleState,
    Scored,
    StreamView,
    group_of,
    look,
    may_rest,
    note_score,
    wanted_fields,
)
from haste_core.errors import InvalidError
from haste_core.pipelines import Pipeline

NOW = 1_700_000_000.0
PIPELINE = {
    "name": "watched",
    "description": "Watched",
    "tasks": "tier",
    "interestingness": {"function": "precomputed", "features_from": "s", "parameters": {"field": "x"}},
    "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "cold"},
}
LOW = {"rule": "low-scores", "consecutive": 3, "below": 0.25}
WELL = {"rule": "well-below", "percent": 50, "below": 0.25}
SILENCE = {"rule": "silence", "for_s": 600}
FINISHED = {"rule": "finished", "settle_s": 60}
FULL = {"rule": "tier-nearly-full", "tier": "hot", "percent": 90}

scores = st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.2499, 0.25, 0.9, 1.0]))


def rules_of(*rules: dict[str, object]) -> tuple[AlertRule, ...]:
    return Pipeline.parse({**PIPELINE, "alerts": list(rules)}).alerts


def raised_at(rule: AlertRule, images: list[Scored]) -> list[int]:
    """Tell at which images, counted from 0, a rule raises alerts."""
    states: dict[str, RuleState] = {}
    places = []
    for place, image in enumerate(images):
        group = group_of(rule, image)
        if group is not None:
            states[group], told = note_score(rule, group, image, states.get(group, RuleState()))
            places += [] if told is None else [place]
    return places


@given(st.lists(scores, max_size=40), st.integers(1, 5), st.booleans())
def test_a_run_of_low_scores_is_told_once_when_it_is_long_enough(
    series: list[float | None], consecutive: int, count_undefined: bool
) -> None:
    [rule] = rules_of({**LOW, "consecutive": consecutive, "count_undefined": count_undefined})
    counted = [
        (place, score is None or score < 0.25)
        for place, score in enumerate(series)
        if count_undefined or score is not None
    ]
    runs = [[place for place, _ in run] for low, run in groupby(counted, key=lambda item: item[1]) if low]
    expected = [run[consecutive - 1] for run in runs if len(run) >= consecutive]

    images = [Scored(f"{place}.tif", score, {}) for place, score in enumerate(series)]

    assert raised_at(rule, images) == expected


@given(
    st.lists(st.tuples(st.sampled_from(["A01", "B02"]), scores), max_size=60),
    st.sampled_from([10, 50, 100]),
    st.integers(1, 6),
)
def test_a_well_is_told_when_its_share_of_low_scores_comes_to_the_limit(
    series: list[tuple[str, float | None]], percent: int, min_images: int
) -> None:
    [rule] = rules_of({**WELL, "percent": percent, "min_images": min_images})
    expected = []
    for well in ("A01", "B02"):
        true_before = False
        for place, (of_well, score) in enumerate(series):
            if of_well != well or score is None:
                continue
            so_far = [other for name, other in series[: place + 1] if name == well and other is not None]
            share = sum(other < 0.25 for other in so_far) / len(so_far)
            true = len(so_far) >= min_images and share >= percent / 100
            expected += [place] if true and not true_before else []
            true_before = true

    images = [Scored(f"{place}", score, {"well": well}) for place, (well, score) in enumerate(series)]

    assert raised_at(rule, images) == sorted(expected)


def test_a_well_is_told_again_after_it_was_well() -> None:
    [rule] = rules_of({**WELL, "min_images": 2})
    series = [0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1]  # low: 2/2 … 2/4, 2/5, 3/6, …
    assert raised_at(rule, [Scored("x", score, {"well": "A01"}) for score in series]) == [1, 5]


def test_what_is_told_of_scores_names_the_images_the_well_and_what_to_do() -> None:
    run, well = rules_of(LOW, {**WELL, "min_images": 2})
    state, told = RuleState(), None
    for place in range(3):
        state, told = note_score(run, "", Scored(f"A01_s{place}.tif", 0.2, {}), state)
    assert told is not None
    assert told.message == (
        "3 images in a row scored below 0.25, from A01_s0.tif to A01_s2.tif. "
        "Look at focus, lamp and sample while the plate is still on the stage"
    )
    assert told.details == {"images": 3, "below": 0.25, "first": "A01_s0.tif", "last": "A01_s2.tif"}

    image = Scored("x", 0.1, {"well": "B03"})
    _, told = note_score(well, "B03", image, RuleState(images=2, low=1))
    assert told is not None
    assert told.message.startswith("2 of the 3 images of well B03 (67 %) scored below 0.25. Look at it")
    assert told.details == {"group": "B03", "images": 3, "low": 2, "below": 0.25}


def test_wells_are_told_apart_by_their_plates_and_images_without_a_well_are_left_out() -> None:
    well, by_site = rules_of(WELL, {**WELL, "field": "substream_id"})
    assert group_of(well, Scored("x", 0.1, {"plate": "P1", "well": "A01"})) == "P1 A01"
    assert group_of(well, Scored("x", 0.1, {"well": "A01"})) == "A01"
    assert group_of(well, Scored("x", 0.1, {"plate": "P1"})) is None
    assert group_of(by_site, Scored("x", 0.1, {"substream_id": "s1", "well": "A01"})) == "s1"
    assert wanted_fields((well, by_site)) == {"well", "substream_id", "plate"}
    assert wanted_fields(rules_of(LOW, SILENCE)) == set()


class Watched:
    """A stream whose rules are looked at as time goes by."""

    def __init__(self, *rules: dict[str, object]) -> None:
        self.rules = rules_of(*rules)
        self.states: dict[int, RuleState] = {}
        self.now = NOW
        self.arrived: float | None = None
        self.ended: float | None = None
        self.open = self.complete = False
        self.counts = Counts(done=7, failed=1)
        self.since = NOW - 86400
        self.fills: dict[str, Fill | None] = {}
        self.rests = False
        self.images = 0

    def image(self, *, ends: bool = True) -> None:
        self.images += 1
        self.arrived, self.open, self.complete = self.now, not ends, False
        self.ended = self.now if ends else self.ended

    def after(self, seconds: float) -> list[Raised]:
        self.now += seconds
        view = StreamView(
            now=self.now,
            last_source=f"A{self.images:02d}.tif" if self.images else "",
            last_arrival_at=self.arrived,
            last_end_at=self.ended,
            open=self.open,
            complete=self.complete,
            listening_since=self.since,
            counts=lambda: self.counts,
            fills=self.fills,
        )
        self.states, told = look(self.rules, view, self.states)
        self.rests = may_rest(self.rules, view, self.states)
        return told

    def names(self, seconds: float) -> list[str]:
        return [told.rule for told in self.after(seconds)]


def test_silence_is_told_once_in_each_pause() -> None:
    stream = Watched(SILENCE)
    assert stream.names(10_000) == [], "before the first image nobody waits"
    stream.image(ends=False)
    assert [stream.names(300), stream.names(299), stream.names(1), stream.names(600)] == [
        [],
        [],
        ["silence"],
        [],
    ]
    stream.image(ends=False)
    assert [stream.names(1), stream.names(599)] == [[], ["silence"]]
    stream.image()
    [told] = stream.after(600)  # nobody looked meanwhile
    assert told.message.startswith("No new image has come for 10 min; the last one was A03.tif. Look whether")


def test_silence_counts_only_while_the_server_runs() -> None:
    stream = Watched(SILENCE)
    stream.image(ends=False)
    stream.since = stream.now + 5000
    assert [stream.names(5599), stream.names(1)] == [[], ["silence"]]


def test_a_stream_has_finished_when_all_has_ended_and_nothing_came_for_a_while() -> None:
    stream = Watched(SILENCE, FINISHED)
    assert stream.names(1000) == []
    stream.image(ends=False)
    assert stream.names(100) == []
    stream.ended, stream.open = stream.now, False
    assert stream.names(59) == []
    [told] = stream.after(1)
    assert told.message == (
        "All 8 images have ended: 7 done, 1 failed; for 60 s no new one has come. "
        "Look at those that failed before the plate goes"
    )
    assert told.details == {"done": 7, "failed": 1, "cancelled": 0}
    assert stream.names(10_000) == [], "a finished stream is not silent"
    stream.image()
    assert [stream.names(1), stream.names(60)] == [[], ["finished"]]


def test_a_complete_stream_is_not_silent_and_has_finished_when_its_last_job_has_ended() -> None:
    stream = Watched(SILENCE, FINISHED)
    stream.image(ends=False)
    stream.complete = True
    assert stream.names(10_000) == []
    stream.ended, stream.open = stream.now, False
    [told] = stream.after(1)
    assert told.message == (
        "All 8 images have ended: 7 done, 1 failed; the stream is complete. "
        "Look at those that failed before the plate goes"
    )
    assert stream.names(10_000) == []
    stream.image()
    assert [stream.names(1), stream.names(60)] == [[], ["finished"]]
    stream.complete = True
    assert stream.names(1) == [], "it was told"


def test_a_stream_that_was_cancelled_has_finished_and_says_so() -> None:
    stream = Watched(FINISHED)
    stream.image()
    stream.counts = Counts(done=5, failed=3, cancelled=3)
    [told] = stream.after(60)
    assert told.message == (
        "All 8 images have ended: 5 done, 3 failed (3 of them cancelled); for 60 s no new one has come. "
        "The plate may go"
    )
    assert told.details == {"done": 5, "failed": 3, "cancelled": 3}


def test_a_complete_stream_without_open_jobs_has_nothing_left_to_be_told_of() -> None:
    stream = Watched(SILENCE)
    stream.image(ends=False)
    stream.complete = True
    stream.after(1)
    assert not stream.rests
    stream.open = False
    stream.after(1)
    assert stream.rests


def test_a_tier_is_told_when_it_is_nearly_full_and_again_after_there_was_room() -> None:
    stream = Watched(FULL)
    told = []
    for percent in (89.9, 90.0, 95.0, 89.5, 90.5, 88.9, 91.0):
        stream.fills = {"hot": Fill(int(percent * 1e10), 10**12)}
        told += [(percent, raised.message) for raised in stream.after(1)]
    assert [percent for percent, _ in told] == [90.0, 91.0]
    assert told[0][1].startswith("The disk of the tier hot is 90 % full, 100.0 GB are free. Make room")


@pytest.mark.parametrize(
    ("used_bytes", "size_bytes", "said"),
    [
        (7_676_296, 6_000_000, "The quota of the tier hot is 128 % full, 1.7 MB too many. Raise it, or"),
        (5_700_000, 6_000_000, "The quota of the tier hot is 95 % full, 0.3 MB are free. Raise it, or"),
        (3 * 10**12, 2 * 10**12, "The quota of the tier hot is 150 % full, 1000.0 GB too many. Raise it, or"),
    ],
)
def test_a_quota_is_told_in_fitting_units_also_if_it_is_exceeded(
    used_bytes: int, size_bytes: int, said: str
) -> None:
    stream = Watched(FULL)
    stream.fills = {"hot": Fill(used_bytes, size_bytes, "quota")}
    [told] = stream.after(1)
    assert told.message.startswith(said)


def test_a_tier_that_cannot_be_measured_for_a_moment_changes_nothing() -> None:
    stream = Watched(FULL)
    told = []
    for fill in (None, Fill(95, 100), None, Fill(95, 100)):
        stream.fills = {"hot": fill}
        told.append(len(stream.after(1)))
    assert told == [0, 1, 0, 0]


def test_a_tier_that_the_server_cannot_see_is_told_once() -> None:
    stream = Watched(FULL)
    [told] = stream.after(1)
    assert "cannot see how full the tier hot is" in told.message
    assert told.details == {"tier": "hot", "percent": None}
    assert stream.after(1) == []


@pytest.mark.parametrize(
    ("rules", "rests"),
    [
        ([LOW], [True, False, True, True, True]),
        ([LOW, FINISHED], [True, False, False, True, True]),
        ([SILENCE], [True, False, False, False, True]),
        ([SILENCE, FINISHED], [True, False, False, True, True]),
        ([FULL], [True, False, True, True, True]),
    ],
)
def test_a_stream_rests_when_only_a_new_image_can_change_something(
    rules: list[dict[str, object]], rests: list[bool]
) -> None:
    stream = Watched(*rules)
    found = []
    stream.after(1)
    found.append(stream.rests)
    stream.image(ends=False)
    stream.after(1)
    found.append(stream.rests)
    stream.image()
    for seconds in (1, 60, 600):
        stream.after(seconds)
        found.append(stream.rests)
    assert found == rests


@pytest.mark.parametrize(
    ("rule", "where", "what"),
    [
        ({**LOW, "consecutive": 0}, "alerts[0].consecutive", "least"),
        ({**LOW, "below": 1.5}, "alerts[0].below", "most"),
        ({**LOW, "url": "http://x"}, "alerts[0].url", "not a field"),
        ({**WELL, "percent": 0}, "alerts[0].percent", "more than"),
        ({"rule": "silence"}, "alerts[0].for_s", "required"),
        ({**FULL, "tier": "../x"}, "alerts[0].tier", "name of a tier"),
        ({"rule": "boredom"}, "alerts[0]", "low-scores"),
        ({"consecutive": 3}, "alerts[0]", "rule"),
    ],
)
def test_odd_rules_are_refused_with_their_place(rule: dict[str, object], where: str, what: str) -> None:
    with pytest.raises(InvalidError) as caught:
        rules_of(rule)
    [problem] = caught.value.problems
    assert problem.where == where
    assert what in problem.what


def test_rules_about_scores_need_scores() -> None:
    unscored = {"name": "p", "description": "p", "tasks": "count", "alerts": [SILENCE]}
    assert Pipeline.parse(unscored).alerts == rules_of(SILENCE)
    with pytest.raises(InvalidError, match="low-scores, well-below"):
        Pipeline.parse({**unscored, "alerts": [LOW]})


def test_rules_are_written_and_read_back() -> None:
    pipeline = Pipeline.parse({**PIPELINE, "alerts": [LOW, WELL, SILENCE, FINISHED, FULL]})
    assert Pipeline.parse(pipeline.to_json()) == pipeline

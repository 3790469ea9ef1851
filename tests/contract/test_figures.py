"""What pages show of a stream, on every database."""

from collections.abc import Callable

import pytest

from haste_core.decisions import decide
from haste_core.errors import InvalidError
from haste_core.figures import ImageRow, Pace, RowFilter, ScoreBin
from haste_core.interestingness import built_in
from haste_core.objects import ObjectFilter, ObjectOrder
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_core.stores import JobFilter
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, run, spec, submitted

SCORES = [0.0, 0.24999999, 0.25, 0.5, 0.999, 1.0, None]
STREAM = Pipeline.parse(
    PIPELINE.to_json()
    | {
        "interestingness": {
            "function": "precomputed",
            "features_from": "focus-score",
            "undefined_if": {"there is nothing": "empty"},
            "parameters": {"field": "value"},
        },
        "policy": {
            "intervals": [{"lo": 0, "hi": 0.5, "tier": "low"}, {"lo": 0.5, "hi": 1, "tier": "high"}],
            "undefined": "none",
        },
    }
)


@pytest.fixture
def plate(store: SqlStore) -> SqlStore:
    """Return a store with images of these scores, and others that nothing was decided about."""
    store.create_stream("s", STREAM, "observe", now=NOW)
    for number, score in enumerate(SCORES):
        told = {
            "metadata": {} if score is None else {"value": score},
            "response": {"focus-score": {"size_bytes": 10, "empty": score is None}},
        }
        submitted(store, spec("tier", source_id=f"A{number}", stream_id="s", **told))
    answered = []
    for item in store.undecided(limit=100, now=NOW):
        ask, how = item.pipeline.interestingness, item.pipeline.policy
        assert ask is not None
        assert how is not None
        answered.append((item, decide(item.scored, spec=ask, policy=how, build=built_in)))
    store.record_decisions(answered, now=NOW)
    submitted(store, spec("a", source_id="B0", stream_id="s", index=7))
    submitted(store, spec("a", source_id="C0", stream_id="other"))
    return store


def rows(store: SqlStore, wanted: RowFilter, order: ObjectOrder, limit: int = 3) -> list[ImageRow]:
    found, cursor = [], None
    while True:
        page = store.image_rows("s", wanted, order=order, cursor=cursor, limit=limit)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def names(found: list[ImageRow]) -> list[str]:
    return [row.source_id for row in found]


def test_images_are_listed_page_by_page(plate: SqlStore) -> None:
    assert names(rows(plate, RowFilter(), "job")) == ["A0", "A1", "A2", "A3", "A4", "A5", "A6", "B0"]
    assert names(rows(plate, RowFilter(), "-score")) == ["A5", "A4", "A3", "A2", "A1", "A0", "A6"]
    assert names(rows(plate, RowFilter(tier="low"), "score")) == ["A0", "A1", "A2"]
    assert names(rows(plate, RowFilter(state="failed"), "job")) == []


def test_a_row_tells_what_is_known_of_an_image(plate: SqlStore) -> None:
    found = {row.source_id: row for row in rows(plate, RowFilter(), "job")}

    best, unscored, undecided = found["A5"], found["A6"], found["B0"]
    assert (best.tier, best.score, best.size_bytes, best.index) == ("high", 1.0, 10, None)
    assert (unscored.tier, unscored.score) == ("none", None)
    assert (undecided.tier, undecided.score, undecided.size_bytes, undecided.index) == (None, None, None, 7)
    assert undecided.state is TaskState.REGISTERED
    assert not best.pinned
    plate.pin(best.job_id, "low", reason="why not", made_by=None, now=NOW)
    assert rows(plate, RowFilter(tier="low"), "-score")[0] == ImageRow(
        best.job_id, "A5", None, TaskState.REGISTERED, "low", 1.0, 10, pinned=True
    )


def test_scores_are_counted_in_equal_parts_the_last_with_its_end(plate: SqlStore) -> None:
    first = rows(plate, RowFilter(), "job")[0].job_id
    assert plate.score_spread("s", bins=4) == {
        "low": {0: ScoreBin(2, 20, (first, first + 1)), 1: ScoreBin(1, 10, (first + 2, first + 2))},
        "high": {
            2: ScoreBin(1, 10, (first + 3, first + 3)),
            3: ScoreBin(2, 20, (first + 4, first + 5)),  # 1.0 is in it
        },
    }
    assert plate.score_spread("other", bins=4) == {}


def test_rows_come_in_the_order_that_is_asked_for(plate: SqlStore) -> None:
    first = rows(plate, RowFilter(), "job")[0].job_id

    assert names(plate.rows_of([first + 2, 10**9, first])) == ["A2", "A0"]
    assert plate.rows_of([]) == []


def test_the_pace_is_that_of_what_ended_since(store: SqlStore) -> None:
    submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(4)))
    for number in range(3):
        (message,) = claim(store, limit=1)
        store.record([result_of(message)], now=NOW + number * 10)

    pace = store.pace("s", since=NOW + 5)

    assert pace == Pace(2, NOW + 10)
    assert pace.per_s(NOW + 30) == 1 / 20
    assert store.pace("s", since=NOW + 25).per_s(NOW + 30) is None
    assert store.pace("none", since=0) == Pace(0, None)


def test_failures_are_the_latest_ones_with_their_messages(store: SqlStore) -> None:
    submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(4)))
    run(store, state=TaskState.BAD_INPUT, message="no good")
    submitted(store, spec("a", source_id="B0", stream_id="s"), spec("a", source_id="C0", stream_id="other"))
    run(store)

    found = store.failures("s", limit=3)

    assert [(failure.source_id, failure.message) for failure in found] == [
        (f"A{number}", "no good") for number in (3, 2, 1)
    ]
    assert {(failure.task_key, failure.state) for failure in found} == {("a", TaskState.BAD_INPUT)}


@pytest.mark.parametrize(
    "cursor", ["9" * 19, "9" * 50, "-1", "x", "1:x", "nan:1", "inf:1", "1e400:1", "0.5:"]
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda store, cursor: store.jobs(JobFilter(), cursor=cursor, limit=1),
        lambda store, cursor: store.jobs(JobFilter(ended_since=0), cursor=cursor, limit=1),
        lambda store, cursor: store.objects("s", ObjectFilter(), order="score", cursor=cursor, limit=1),
        lambda store, cursor: store.decisions("s", cursor=cursor, limit=1),
    ],
)
def test_a_cursor_of_somebody_else_is_refused(
    store: SqlStore, ask: Callable[[SqlStore, str], object], cursor: str
) -> None:
    with pytest.raises(InvalidError, match="is not the `next` of an earlier answer"):
        ask(store, cursor)


JPEG = b"\xff\xd8\xff"


def test_pictures_are_kept_with_their_jobs_and_leave_with_them(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec("a", source_id=f"A{number}", stream_id="s") for number in range(3)))
    first, second, third = claim(store, limit=3)
    store.record(
        [result_of(first, thumbnail=JPEG + b"1"), result_of(second, thumbnail=JPEG + b"\0'\"\\%s")], now=NOW
    )
    store.record([result_of(first, thumbnail=JPEG + b"late"), result_of(third)], now=NOW)

    shown = [store.thumbnail(job_id) for job_id in job_ids]
    assert [picture and picture.jpeg for picture in shown] == [JPEG + b"1", JPEG + b"\0'\"\\%s", None]
    assert [row.thumbnail for row in rows(store, RowFilter(), "job")] == [
        picture and picture.digest for picture in shown
    ]

    store.delete(job_ids[0])
    assert store.thumbnail(job_ids[0]) is None


def test_a_task_that_runs_again_draws_its_picture_anew(store: SqlStore) -> None:
    (job_id,) = submitted(store, spec("a", stream_id="s"))
    run(store, thumbnail=JPEG + b"old")
    store.force_retry_task(store.job(job_id).tasks[0].task_id, now=NOW)
    run(store, thumbnail=JPEG + b"new")

    picture = store.thumbnail(job_id)
    assert picture is not None
    assert picture.jpeg == JPEG + b"new"


def test_images_come_with_what_was_measured(plate: SqlStore) -> None:
    found = plate.sampled("s", about=100)

    assert [(image.score, image.tier) for image in found[-2:]] == [(1.0, "high"), (None, "none")]
    assert [image.metadata for image in found[-2:]] == [{"value": 1.0}, {}]
    assert found[0].features["size_bytes"] == 10
    assert (found[0].index, found[0].taken_at) == (None, NOW)
    assert plate.sampled("other", about=100) == []


def test_of_many_images_some_are_chosen_by_chance_and_the_same_ones_again(plate: SqlStore) -> None:
    some = plate.sampled("s", about=3)

    assert 0 <= len(some) < len(SCORES)
    assert some == plate.sampled("s", about=3)

"""What later decisions do to objects that were decided about before, on every database."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.errors import NotFoundError
from haste_core.messages import Outcome, Place, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_server.store.decision_rows import HOLD_OBJECTS
from haste_server.store.records import load_jobs
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted

THIRDS = Pipeline.parse(
    PIPELINE.to_json()
    | {
        "policy": {
            "intervals": [{"lo": 0, "hi": 0.5, "tier": "warm"}, {"lo": 0.5, "hi": 1, "tier": "hot"}],
            "undefined": "cold",
        }
    }
)


def decided_stream(store: SqlStore, scores: dict[str, float], *, mode: Any = "enforce") -> dict[str, int]:
    """Make a stream of objects that are all in their tier, hot; return their jobs by name."""
    store.create_stream("s", PIPELINE, mode, now=NOW)
    specs = [spec("tier", source_id=name, stream_id="s", response=_response(name)) for name in scores]
    jobs = dict(zip(scores, submitted(store, *specs), strict=True))
    waiting = store.undecided(limit=100, now=NOW)
    answers = [
        (item, Decision(scores[item.source_id], "hot", "first", "f" * 64, item.scored.features))
        for item in waiting
    ]
    store.record_decisions(answers, now=NOW)
    carry_out(store)
    return jobs


def _response(name: str) -> dict[str, Any]:
    return {"focus-score": {"plls": -1.0, "size_bytes": 100 + len(name), "sha256": "a" * 64}}


def carry_out(store: SqlStore) -> list[TaskMessage]:
    """Run all tier tasks that are ready, as a worker would."""
    messages = claim(store, "tier")
    for message in messages:
        assert message.decision is not None
        place = Place(url=f"file:///{message.decision.tier}/{message.job['source_id']}", site="default")
        moved = place if message.decision.enforce else None
        store.record([result_of(message, response={"size_bytes": 1}, place=moved)], now=NOW)
    return messages


def redecide(store: SqlStore, tiers: dict[str, str]) -> None:
    due = store.to_redecide(limit=100)
    store.redecided(
        [
            (item, Decision(0.25, tiers[item.source_id], "again", "e" * 64, item.scored.features))
            for item in due
        ],
        now=NOW,
    )


def tiers_of(store: SqlStore) -> dict[str, int]:
    return {name: tier.count for name, tier in store.progress("s").tiers.items()}


def test_only_what_another_policy_puts_elsewhere_moves_and_from_where_it_is(store: SqlStore) -> None:
    jobs = decided_stream(store, {"A01": 0.25, "A02": 0.25})
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "warm", "A02": "hot"})
    assert store.to_redecide(limit=100) == []
    [change] = store.start_moves(limit=100, now=NOW)
    assert (change.job_id, change.state) == (jobs["A01"], TaskState.REGISTERED)
    [message] = carry_out(store)
    assert message.place.url == "file:///hot/A01"
    assert message.decision is not None
    assert (message.decision.tier, message.decision.enforce) == ("warm", True)
    assert store.job(jobs["A01"]).state is TaskState.DONE
    assert store.job(jobs["A01"]).tasks[0].place == Place(url="file:///warm/A01", site="default")
    assert store.start_moves(limit=100, now=NOW) == []
    assert tiers_of(store) == {"hot": 1, "warm": 1}


def test_decisions_of_an_observing_stream_move_nothing_until_it_enforces(store: SqlStore) -> None:
    decided_stream(store, {"A01": 0.25}, mode="observe")
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "warm"})
    assert store.start_moves(limit=100, now=NOW) == []
    store.set_mode("s", "enforce")
    redecide(store, {"A01": "warm"})
    assert len(store.start_moves(limit=100, now=NOW)) == 1
    [message] = carry_out(store)
    assert message.decision is not None
    assert (message.decision.tier, message.decision.enforce) == ("warm", True)


def test_a_stream_that_observes_again_moves_no_more(store: SqlStore) -> None:
    decided_stream(store, {"A01": 0.25})
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "warm"})
    store.set_mode("s", "observe")
    assert store.start_moves(limit=100, now=NOW) == []
    store.set_mode("s", "enforce")
    redecide(store, {"A01": "warm"})
    assert len(store.start_moves(limit=100, now=NOW)) == 1


@pytest.mark.parametrize("unpinned", [False, True])
def test_a_stream_that_observes_again_is_still_decided_about(store: SqlStore, unpinned: bool) -> None:
    jobs = decided_stream(store, {"A01": 0.25})
    if unpinned:
        store.redecide_one(jobs["A01"], _to("hot"), origin="unpin", made_by="eva", now=NOW, pinned=False)
    else:
        store.set_policy("s", THIRDS)
    store.set_mode("s", "observe")
    redecide(store, {"A01": "warm"})
    assert tiers_of(store) == {"warm": 1}
    assert store.start_moves(limit=100, now=NOW) == []


def test_what_is_decided_alike_is_not_written_again(store: SqlStore) -> None:
    decided_stream(store, {"A01": 0.25})
    before = store.decided("s", after=0, up_to=2**62, limit=100)
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "hot"})
    assert store.decided("s", after=0, up_to=2**62, limit=100) == before
    assert store.start_moves(limit=100, now=NOW) == []


def test_a_decision_made_before_the_policy_changed_is_not_recorded(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    submitted(store, spec("tier", source_id="A01", stream_id="s", response=_response("A01")))
    [item] = store.undecided(limit=1, now=NOW)
    store.set_policy("s", THIRDS)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, {}))], now=NOW)
    [again] = store.undecided(limit=1, now=NOW)
    assert again.pipeline == THIRDS
    store.record_decisions([(again, Decision(0.2, "warm", "new", "f" * 64, {}))], now=NOW)
    assert tiers_of(store) == {"warm": 1}


def test_a_task_that_a_worker_has_is_moved_after_its_result(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    [job_id] = submitted(store, spec("tier", source_id="A01", stream_id="s", response=_response("A01")))
    [item] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, {}))], now=NOW)
    [message] = claim(store, "tier")
    store.redecide({job_id: _to("warm")}, origin="pin", made_by="eva", now=NOW, pinned=True)
    assert store.start_moves(limit=10, now=NOW) == []
    place = Place(url="file:///hot/A01", site="default")
    store.record([result_of(message, place=place)], now=NOW)
    assert len(store.start_moves(limit=10, now=NOW)) == 1
    [second] = carry_out(store)
    assert second.place == place


def test_an_object_that_a_later_task_reads_is_moved_after_it(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    tree = {"taskSequential": ["tier", "b"]}
    [job_id] = submitted(store, spec(tree, source_id="A01", stream_id="s", response=_response("A01")))
    [item] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, {}))], now=NOW)
    carry_out(store)
    [reading] = claim(store, "b")
    assert reading.place.url == "file:///hot/A01"
    store.redecide_one(job_id, _to("warm"), origin="recall", made_by="eva", now=NOW)
    assert store.start_moves(limit=10, now=NOW) == []
    store.record([result_of(reading)], now=NOW)
    assert len(store.start_moves(limit=10, now=NOW)) == 1


def test_a_pinned_object_stays_whatever_is_decided(store: SqlStore) -> None:
    jobs = decided_stream(store, {"A01": 0.25})
    store.redecide_one(jobs["A01"], _to("cold"), origin="pin", made_by="eva", now=NOW, pinned=True)
    store.start_moves(limit=10, now=NOW)
    carry_out(store)
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "warm"})
    assert store.start_moves(limit=10, now=NOW) == []
    assert tiers_of(store) == {"cold": 1}
    with pytest.raises(NotFoundError):
        store.redecide_one(jobs["A01"], _to("hot"), origin="revision", made_by=None, now=NOW)

    store.redecide_one(jobs["A01"], _to("cold"), origin="unpin", made_by="eva", now=NOW, pinned=False)
    redecide(store, {"A01": "warm"})
    store.start_moves(limit=10, now=NOW)
    carry_out(store)
    assert tiers_of(store) == {"warm": 1}


def test_a_cancelled_job_does_not_move(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    [job_id] = submitted(store, spec("tier", source_id="A01", stream_id="s", response=_response("A01")))
    [item] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, {}))], now=NOW)
    store.cancel_job(job_id, now=NOW)
    store.redecide_one(job_id, _to("warm"), origin="recall", made_by="eva", now=NOW)
    assert store.start_moves(limit=10, now=NOW) == []
    assert claim(store, "tier") == []


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_retry_goes_on_with_what_was_decided(store: SqlStore, end: str) -> None:
    [job_id] = decided_stream(store, {"A01": 0.2}).values()
    store.redecide_one(job_id, _to("warm"), origin="recall", made_by="eva", now=NOW)
    store.start_moves(limit=10, now=NOW)
    if end == "cancelled":
        store.cancel_job(job_id, now=NOW)
    else:
        [message] = claim(store, "tier")
        store.record([result_of(message, TaskState.ERROR, message="warm is read-only")], now=NOW)
    store.retry_job(job_id, now=NOW)
    assert store.undecided(limit=10, now=NOW) == []
    [message] = carry_out(store)
    assert message.decision is not None
    assert (message.decision.tier, tiers_of(store)) == ("warm", {"warm": 1})


def test_what_a_lost_attempt_may_have_copied_is_recorded_before_the_object_goes_elsewhere(
    store: SqlStore,
) -> None:
    [job_id] = decided_stream(store, {"A01": 0.2}).values()
    store.redecide_one(job_id, _to("warm"), origin="recall", made_by="eva", now=NOW)
    store.start_moves(limit=10, now=NOW)
    [copying] = claim(store, "tier")
    lost = TaskResult(task_id=copying.task_id, attempt=copying.attempt, worker_id="", outcome=Outcome.LOST)
    store.record([lost], now=NOW)
    store.redecide_one(job_id, _to("cold"), origin="recall", made_by="eva", now=NOW)
    store.release_due(now=NOW + 100)
    moved = []
    for _ in range(2):
        store.start_moves(limit=10, now=NOW)
        moved += [(one.place.url, one.decision and one.decision.tier) for one in carry_out(store)]
    assert moved == [("file:///hot/A01", "warm"), ("file:///warm/A01", "cold")]


def test_what_is_measured_anew_is_decided_about_by_its_new_features(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    tree = {"taskSequential": ["focus-score", "tier"]}
    [job_id] = submitted(store, spec(tree, source_id="A01", stream_id="s"))
    answer(store, -1.0)
    [item] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, item.scored.features))], now=NOW)
    carry_out(store)
    store.force_retry_task(store.job(job_id).tasks[0].task_id, now=NOW)
    store.set_policy("s", THIRDS)
    redecide(store, {"A01": "warm"})
    store.start_moves(limit=10, now=NOW)
    answer(store, -2.0)
    assert claim(store, "tier") == [], "the later decision is about the former features"
    [item] = store.undecided(limit=1, now=NOW)
    assert item.scored.features["plls"] == -2.0
    store.record_decisions([(item, Decision(0.1, "cold", "new", "f" * 64, item.scored.features))], now=NOW)
    [message] = carry_out(store)
    assert message.decision is not None
    assert message.decision.tier == "cold"
    assert tiers_of(store) == {"cold": 1}


def answer(store: SqlStore, plls: float) -> None:
    [message] = claim(store, "focus-score")
    store.record([result_of(message, response={"plls": plls})], now=NOW)


def test_an_object_that_waits_is_moved_by_its_latest_decision_only(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    [job_id] = submitted(store, spec("tier", source_id="A01", stream_id="s", response=_response("A01")))
    [item] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(item, Decision(0.2, "hot", "old", "f" * 64, {}))], now=NOW)
    store.redecide_one(job_id, _to("warm"), origin="recall", made_by="eva", now=NOW)
    store.start_moves(limit=10, now=NOW)
    [message] = carry_out(store)
    assert message.decision is not None
    assert message.decision.tier == "warm"


def test_what_another_policy_moves_stands_behind_what_was_just_scored(store: SqlStore) -> None:
    names = [f"A{number:02}" for number in range(6)]
    jobs = decided_stream(store, dict.fromkeys(names, 0.25))
    store.set_policy("s", THIRDS)
    redecide(store, dict.fromkeys(names, "warm"))
    assert len(store.start_moves(limit=3, now=NOW)) == 3
    # One that waits in the queue already, and the last of those that are to come.
    for name in ("A02", "A05"):
        store.redecide_one(jobs[name], _to("cold"), origin="pin", made_by="eva", now=NOW, pinned=True)
    assert [change.job_id for change in store.start_moves(limit=2, now=NOW + 1)] == [jobs["A05"]]
    store.start_moves(limit=10, now=NOW + 1)
    for name, ready_at in (("new", NOW + 2), ("an hour later", NOW + 3605)):
        submitted(store, spec("tier", source_id=name, stream_id="s", response=_response(name)))
        [item] = store.undecided(limit=10, now=ready_at)
        store.record_decisions([(item, Decision(0.25, "hot", "first", "f" * 64, {}))], now=ready_at)
    found = claim(store, "tier", now=NOW + 4000)
    assert [message.job["source_id"] for message in found] == [
        *("A02", "A05"),  # pinned
        "new",
        *("A00", "A01", "A03", "A04"),
        "an hour later",
    ]


@pytest.mark.parametrize("store", ["mariadb"], indirect=True)
def test_who_holds_a_job_gets_its_object(store: SqlStore) -> None:
    """As the mover and the evaluator do, who take jobs first and their objects then."""
    jobs_of = decided_stream(store, {"A01": 0.25, "A02": 0.25})
    changes = dict.fromkeys(jobs_of.values(), _to("cold"))
    redeciding = threading.Thread(
        target=store.redecide, args=(changes,), kwargs={"origin": "quota", "made_by": None, "now": NOW}
    )
    ids = {"ids": [jobs_of["A02"]]}
    with store.database.engine.begin() as connection:
        load_jobs(connection, ids["ids"], lock=True)
        redeciding.start()
        redeciding.join(0.3)
        assert len(connection.execute(HOLD_OBJECTS, ids).all()) == 1
    redeciding.join()
    assert tiers_of(store) == {"cold": 2}


def test_a_job_that_is_deleted_takes_its_object_along_and_leaves_its_decisions(store: SqlStore) -> None:
    jobs = decided_stream(store, {"A01": 0.25, "A02": 0.5})
    store.delete(jobs["A01"])
    assert tiers_of(store) == {"hot": 1}
    assert len(store.decided("s", after=0, up_to=2**62, limit=100)) == 2


def test_a_stream_whose_policy_changed_is_joined_by_its_first_pipeline(store: SqlStore) -> None:
    decided_stream(store, {"A01": 0.25})
    store.set_policy("s", THIRDS)
    for pipeline in (PIPELINE, THIRDS):
        stream, is_new = store.create_stream("s", pipeline, "enforce", now=NOW)
        assert (stream.pipeline, is_new) == (THIRDS, False)


def _to(tier: str) -> Any:
    return lambda decision: replace(decision, tier=tier, reason=f"to {tier}")

"""What every database does between the measured features and the task that follows the decision."""

from haste_core.decisions import Decision
from haste_core.states import Phase, TaskState
from haste_core.undecided import Postponed, Undecidable
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted


def test_a_decision_makes_its_task_ready_and_travels_with_it(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["focus-score", "tier"]}, stream_id="s"))
    [scored] = claim(store, "focus-score")
    assert scored.parameters == {"bits": 12}
    store.record([result_of(scored, response={"plls": -1.2})], now=NOW)
    assert claim(store, "tier") == []
    [waiting] = store.undecided(limit=10, now=NOW)
    assert waiting.scored.features == {"plls": -1.2}
    decision = Decision(0.75, "hot", "because", "f" * 64, {"sha256": "a" * 64, "size_bytes": 7})
    store.record_decisions([(waiting, decision)], now=NOW)
    assert store.undecided(limit=10, now=NOW) == []
    store.set_mode("s", "enforce")
    [tier] = claim(store, "tier")
    assert tier.decision is not None
    assert (tier.decision.score, tier.decision.tier, tier.decision.enforce) == (0.75, "hot", False)
    assert tier.decision.sha256 == "a" * 64
    store.record([result_of(tier, response={"size_bytes": 7})], now=NOW)
    progress = store.progress("s")
    assert (progress.open, progress.done, progress.failed) == (0, 1, 0)
    assert (progress.tiers["hot"].count, progress.tiers["hot"].size_bytes) == (1, 7)
    assert store.job(job_id).state is TaskState.DONE


def test_a_decision_that_cannot_be_made_is_an_error_with_a_message(store: SqlStore) -> None:
    [job_id] = submitted(store, spec("tier", response={"focus-score": {}}))
    [waiting] = store.undecided(limit=10, now=NOW)
    [change] = store.record_decisions([(waiting, Undecidable("no plls"))], now=NOW)
    assert change.state is TaskState.ERROR
    assert store.job(job_id).state is TaskState.ERROR


def test_priority_from_takes_the_score(store: SqlStore) -> None:
    tree = {"taskSequential": ["focus-score", {"Task": {"task_key": "b", "priority_from": "focus-score"}}]}
    submitted(store, spec(tree))
    store.record([result_of(claim(store, "focus-score")[0], response={"plls": 0})], now=NOW)
    [waiting] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(waiting, Decision(0.6, "hot", "why", "f" * 64, {}))], now=NOW)
    [message] = claim(store, "b")
    assert message.job["tasks"]["taskSequential"][1]["Task"]["priority"] == 0.6


def decide_about(store: SqlStore, source_id: str, plls: float, *, stream_id: str = "s") -> None:
    response = {"focus-score": {"plls": plls}}
    submitted(store, spec("tier", source_id=source_id, stream_id=stream_id, response=response))
    [waiting] = store.undecided(limit=10, now=NOW)
    decision = Decision(0.25, "hot", "why", "f" * 64, waiting.scored.features, seen=waiting.seen)
    store.record_decisions([(waiting, decision)], now=NOW)


def test_decisions_are_listed_in_their_order_and_within_bounds(store: SqlStore) -> None:
    for number in range(5):
        decide_about(store, f"A{number}.tif", -number)
        decide_about(store, "B.tif", 1.0, stream_id="other")
    everything = store.decided("s", after=0, up_to=2**62, limit=100)
    assert [one.object.source_id for one in everything] == [f"A{number}.tif" for number in range(5)]
    assert [one.object.features for one in everything] == [{"plls": -number} for number in range(5)]
    assert {(one.object.score, one.object.tier) for one in everything} == {(0.25, "hot")}
    ids = [one.decision_id for one in everything]
    between = store.decided("s", after=ids[0], up_to=ids[3], limit=2)
    assert [one.decision_id for one in between] == ids[1:3]

    submitted(store, spec("tier", source_id="C.tif", stream_id="s", response={"focus-score": {}}))
    [waiting] = store.undecided(limit=10, now=NOW)
    assert (waiting.source_id, waiting.seen) == ("C.tif", ids[-1])


SCORED = {"focus-score": {"plls": -1.2}}


def test_a_postponed_decision_is_asked_for_again_when_it_is_due(store: SqlStore) -> None:
    [job_id] = submitted(store, spec("tier", response=SCORED))
    [waiting] = store.undecided(limit=10, now=NOW)
    assert store.record_decisions([(waiting, Postponed("away"))], now=NOW) == []

    [task] = store.job(job_id).tasks
    assert (task.state, task.phase, task.failures) == (TaskState.REGISTERED, Phase.UNDECIDED, 1)
    assert task.message.startswith("away (attempt 1 to get a score; tried again in ")
    assert task.due_at is not None
    assert 0.5 <= task.due_at - NOW <= 1
    assert store.undecided(limit=10, now=task.due_at - 0.001) == []
    assert store.release_due(now=NOW + 100) == 0
    assert store.undecided(limit=10, now=task.due_at) == [waiting]

    decision = Decision(0.6, "hot", "why", "f" * 64, {})
    store.record_decisions([(waiting, decision)], now=NOW + 2)
    [message] = claim(store, "tier")
    [task] = store.job(job_id).tasks
    assert (message.attempt, task.failures, task.message) == (1, 0, "")


def test_a_decision_that_is_postponed_too_often_is_an_error(store: SqlStore) -> None:
    [job_id] = submitted(store, spec("tier", response=SCORED))
    now, pauses = NOW, []
    while waiting := store.undecided(limit=10, now=now):
        store.record_decisions([(waiting[0], Postponed("away"))], now=now)
        [task] = store.job(job_id).tasks
        if task.due_at is None:
            break
        pauses.append(task.due_at - now)
        now = task.due_at
    assert task.state is TaskState.REMOTE_TROUBLE
    assert task.message == "away (getting a score failed 130 times; retry the job when that is mended)"
    assert pauses[:3] == sorted(pauses[:3])
    assert max(pauses) <= 900
    assert 15 * 3600 < sum(pauses) < 31 * 3600


def test_cancelling_ends_what_is_postponed(store: SqlStore) -> None:
    [job_id] = submitted(store, spec("tier", response=SCORED))
    [waiting] = store.undecided(limit=10, now=NOW)
    store.record_decisions([(waiting, Postponed("away"))], now=NOW)
    store.cancel_job(job_id, now=NOW)
    assert store.undecided(limit=10, now=NOW + 9999) == []
    store.retry_job(job_id, now=NOW)
    [again] = store.undecided(limit=10, now=NOW)
    assert again.task_id == waiting.task_id


def test_streams_can_be_left_out_of_what_waits(store: SqlStore) -> None:
    for stream_id in ("a", "b", "c"):
        submitted(
            store, *(spec("tier", source_id=f"{n}", stream_id=stream_id, response=SCORED) for n in (1, 2))
        )
    postponed = store.undecided(limit=10, now=NOW, without={"b", "c"})
    assert {item.stream_id for item in postponed} == {"a"}
    store.record_decisions([(item, Postponed("away")) for item in postponed], now=NOW)

    later = store.undecided(limit=10, now=NOW + 1)
    assert [item.stream_id for item in later][:2] == ["a", "a"]
    assert len(later) == 6
    others = store.undecided(limit=10, now=NOW + 1, without={"a", "b"})
    assert {item.stream_id for item in others} == {"c"}
    assert len(store.undecided(limit=3, now=NOW + 1)) == 3

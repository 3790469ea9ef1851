"""What every database does between the measured features and the task that follows the decision."""

from haste_core.decisions import Decision
from haste_core.ports import Undecidable
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted


def test_a_decision_makes_its_task_ready_and_travels_with_it(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["focus-score", "tier"]}, stream_id="s"))
    [scored] = claim(store, "focus-score")
    assert scored.parameters == {"bits": 12}
    store.record([result_of(scored, response={"plls": -1.2})], now=NOW)
    assert claim(store, "tier") == []
    [waiting] = store.undecided(limit=10)
    assert waiting.scored.features == {"plls": -1.2}
    decision = Decision(0.75, "hot", "because", "f" * 64, {"plls": -1.2, "sha256": "a" * 64})
    store.record_decisions({waiting.task_id: decision}, now=NOW)
    assert store.undecided(limit=10) == []
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
    [waiting] = store.undecided(limit=10)
    [change] = store.record_decisions({waiting.task_id: Undecidable("no plls")}, now=NOW)
    assert change.state is TaskState.ERROR
    assert store.job(job_id).state is TaskState.ERROR


def test_priority_from_takes_the_score(store: SqlStore) -> None:
    tree = {"taskSequential": ["focus-score", {"Task": {"task_key": "b", "priority_from": "focus-score"}}]}
    submitted(store, spec(tree))
    store.record([result_of(claim(store, "focus-score")[0], response={"plls": 0})], now=NOW)
    [waiting] = store.undecided(limit=1)
    store.record_decisions({waiting.task_id: Decision(0.6, "hot", "why", "f" * 64, {})}, now=NOW)
    [message] = claim(store, "b")
    assert message.job["tasks"]["taskSequential"][1]["Task"]["priority"] == 0.6

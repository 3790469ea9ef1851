"""What every database must do for the engine and the API."""

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from haste_core.decisions import Decision
from haste_core.errors import ConflictError, NotFoundError, TransientError
from haste_core.jobspec import JobSpec, parse_job_spec
from haste_core.lifecycle import Rules
from haste_core.messages import HeldAttempt, Outcome, Place, Presence, TaskMessage, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.ports import Undecidable
from haste_core.routing import Route
from haste_core.scheduling import RetryPolicy
from haste_core.states import TaskState
from haste_core.stores import JobFilter, Refused, Submitted
from haste_server.store.database import Database
from haste_server.store.idempotency import KEYS_KEPT_S
from haste_server.store.migrate import upgrade
from haste_server.store.schema import idempotency_keys
from haste_server.store.sql import SqlStore

NOW = 1_700_000_000.0
PIPELINE = Pipeline.parse(
    {
        "name": "focus-tier",
        "description": "Score, then tier",
        "tasks": {"taskSequential": ["focus-score", "tier"]},
        "parameters": {"focus-score": {"bits": 12}},
        "interestingness": {
            "function": "logistic",
            "features_from": "focus-score",
            "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
        },
        "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "cold"},
    }
)


@pytest.fixture(params=["sqlite", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/haste.db"
    else:
        url = request.getfixturevalue("mariadb_url")
    database = Database(url)
    upgrade(database)
    rules = Rules(RetryPolicy(max_attempts=3, max_lost=2, base_delay_s=10), ageing_per_s=0.001)
    yield SqlStore(database, rules, PIPELINE)
    database.close()


def spec(tasks: object = "a", **more: object) -> JobSpec:
    given = {"source_url": "root://nas/x.tif", "source_id": "x", "tasks": tasks, **more}
    return parse_job_spec(given)


def submitted(store: SqlStore, *specs: JobSpec, now: float = NOW) -> list[int]:
    answers = store.submit(specs, now=now)
    assert all(isinstance(answer, Submitted) and answer.created for answer in answers)
    return [answer.job_id for answer in answers if isinstance(answer, Submitted)]


def claim(store: SqlStore, key: str, *, limit: int = 10, now: float = NOW) -> list[TaskMessage]:
    return store.claim(Route(key, "default"), limit, now=now, lease_s=30)


def done(message: TaskMessage, /, **more: object) -> TaskResult:
    return TaskResult(
        task_id=message.task_id,
        attempt=message.attempt,
        worker_id="w1",
        outcome=more.pop("outcome", Outcome.ENDED),
        state=more.pop("state", TaskState.DONE),
        started_at=NOW,
        **more,
    )


def states(store: SqlStore, job_id: int) -> list[int]:
    return [int(task.state) for task in store.job(job_id).tasks]


def test_a_spec_is_read_back_as_it_was_submitted(store: SqlStore) -> None:
    asked = spec(
        {"taskSequential": ["a", {"taskParallel": ["b", "c"]}]},
        source_id="Ü/é b.tif",
        index=2,
        metadata={"channel": "DAPI", "deep": [1, {"x": None}]},
        location=[1, 2],
        timestamp=12.5,
    )
    [job_id] = submitted(store, asked)
    assert store.job(job_id).spec == asked


def test_a_version_of_a_source_is_stored_once(store: SqlStore) -> None:
    first = spec(source_version="1")
    [job_id] = submitted(store, first)
    answers = store.submit([first, spec(source_version="2"), spec(source_version="2")], now=NOW)
    assert [(answer.job_id == job_id, answer.created) for answer in answers] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert answers[1].job_id == answers[2].job_id


def test_sources_without_a_version_may_be_submitted_again(store: SqlStore) -> None:
    assert len(set(submitted(store, spec(), spec()))) == 2


def test_case_matters_in_the_names_of_sources(store: SqlStore) -> None:
    lower, upper = spec(source_id="a01", source_version="1"), spec(source_id="A01", source_version="1")
    assert len(set(submitted(store, lower, upper))) == 2


def test_an_idempotency_key_repeats_the_first_answer(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")
    [second] = store.submit([spec()], now=NOW, idempotency_key="k")
    assert (second.job_id, second.created) == (first.job_id, False)
    with pytest.raises(ConflictError):
        store.submit([spec(source_id="other")], now=NOW, idempotency_key="k")


def test_an_idempotency_key_whose_job_was_deleted_makes_a_new_job(store: SqlStore) -> None:
    bad = spec("tier", source_id="bad")
    call = [spec(), spec(source_id="y"), bad]
    kept, deleted, _ = store.submit(call, now=NOW, idempotency_key="k")
    store.delete(deleted.job_id)

    same, fresh, refused = store.submit(call, now=NOW + 1, idempotency_key="k")

    assert (same.job_id, same.created) == (kept.job_id, False)
    assert fresh.created
    assert store.job(fresh.job_id).spec.source_id == "y"
    assert isinstance(refused, Refused)
    again = store.submit(call, now=NOW + 2, idempotency_key="k")
    assert [item.job_id for item in again[:2]] == [kept.job_id, fresh.job_id]
    with pytest.raises(ConflictError):
        store.submit([spec(source_id="other")], now=NOW, idempotency_key="k")


def test_of_two_repeated_calls_whose_job_was_deleted_one_makes_the_new_job(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")
    store.delete(first.job_id)
    barrier, answers = Barrier(4), []

    def repeat() -> None:
        barrier.wait()
        answers.extend(store.submit([spec()], now=NOW, idempotency_key="k"))

    threads = [Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.job_id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1


def test_an_idempotency_key_is_forgotten_after_a_day(store: SqlStore) -> None:
    [first] = store.submit([spec()], now=NOW, idempotency_key="k")

    [second] = store.submit([spec(source_id="other")], now=NOW + KEYS_KEPT_S + 1, idempotency_key="k")

    assert second.created
    assert second.job_id != first.job_id


def test_old_idempotency_keys_do_not_gather(store: SqlStore) -> None:
    for number in range(300):
        store.submit([spec(source_version="1")], now=NOW, idempotency_key=f"old {number}")
    for number in range(200):
        store.submit([spec(source_version="1")], now=NOW + 2 * KEYS_KEPT_S, idempotency_key=f"new {number}")

    kept = store.database.read(lambda connection: connection.scalars(_KEYS).all())
    assert sorted(kept) == sorted(f"new {number}" for number in range(200))


_KEYS = sa.select(idempotency_keys.c.idempotency_key)


def test_clients_that_submit_the_same_source_at_once_get_one_job(store: SqlStore) -> None:
    barrier, ids = Barrier(6), []

    def submit() -> None:
        barrier.wait()
        [answer] = store.submit([spec(source_version="1")], now=NOW)
        ids.append(answer.job_id)

    threads = [Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_a_score_that_cannot_be_made_is_refused_at_once(store: SqlStore) -> None:
    bare = Pipeline.parse({"name": "bare", "description": "No score", "tasks": "a"})
    store.create_stream("s", bare, "observe", now=NOW)
    good, bad = store.submit([spec("a", stream_id="s"), spec("tier", stream_id="s")], now=NOW)
    assert isinstance(good, Submitted)
    assert isinstance(bad, Refused)
    assert "interestingness" in bad.problems[0].what


@pytest.mark.parametrize(
    "tasks",
    [
        "tier",
        {"taskSequential": ["tier", "focus-score"]},
        {"taskSequential": ["focus-score", {"Task": {"task_key": "b", "priority_from": "nope"}}]},
    ],
)
def test_a_score_of_what_does_not_come_before_is_refused(store: SqlStore, tasks: object) -> None:
    [answer] = store.submit([spec(tasks)], now=NOW)
    assert isinstance(answer, Refused)
    assert "no task before it" in answer.problems[0].what


def test_an_answer_that_the_database_refuses_is_no_outage(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    deep: object = 1
    for _ in range(60):
        deep = [deep]
    try:
        store.record([done(message, response={"deep": deep})], now=NOW)
    except TransientError:
        pytest.fail("trying again would never help")
    except DBAPIError:
        assert store.job(job_id).tasks[0].state is TaskState.RUNNING
    else:
        assert store.job(job_id).responses == {"a": {"deep": deep}}


def test_the_way_of_a_sequence(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}, metadata={"m": 1}))
    assert claim(store, "b") == []
    [message] = claim(store, "a")
    assert (message.attempt, message.job["metadata"], message.place.url) == (1, {"m": 1}, "root://nas/x.tif")
    assert message.ttl_s == 30
    assert claim(store, "a") == []
    moved = Place(url="root://nas/y.tif", site="default", sha256="0" * 64, size_bytes=3)
    changes = store.record([done(message, response={"n": 1}, place=moved)], now=NOW + 1)
    assert [(change.task_key, change.state) for change in changes] == [("a", TaskState.DONE)]
    [following] = claim(store, "b")
    assert following.place == moved
    assert following.job["response"] == {"a": {"n": 1}}
    store.record([done(following, response={})], now=NOW + 2)
    job = store.job(job_id)
    assert (job.state, job.ended_at) == (TaskState.DONE, NOW + 2)


def test_a_place_routes_the_tasks_that_follow(store: SqlStore) -> None:
    submitted(store, spec({"taskSequential": ["a", "b"]}))
    [message] = claim(store, "a")
    store.record([done(message, place=Place(url="root://x/y", site="hpc"))], now=NOW)
    assert claim(store, "b") == []
    [following] = store.claim(Route("b", "hpc"), 1, now=NOW, lease_s=30)
    assert following.site == "hpc"


def test_results_count_once_and_only_for_their_attempt(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [first] = claim(store, "a")
    assert store.record(store.expired(now=NOW + 31, limit=10), now=NOW + 31)
    store.release_due(now=NOW + 60)
    [second] = claim(store, "a", now=NOW + 60)
    assert second.attempt == 2
    assert store.record([done(first, response={"late": True})], now=NOW + 61) == []
    assert store.record([done(second, response={"n": 2})], now=NOW + 62)
    assert store.record([done(second, response={"n": 3})], now=NOW + 63) == []
    assert store.job(job_id).responses == {"a": {"n": 2}}


def test_ready_tasks_go_out_by_priority_then_index(store: SqlStore) -> None:
    wanted = [(1.0, 3), (1.0, 2), (9.0, 7), (1.0, None)]
    submitted(
        store,
        *(spec(source_id=f"p{p}i{i}", priority=p, **({} if i is None else {"index": i})) for p, i in wanted),
    )
    order = [claim(store, "a", limit=1)[0].job["source_id"] for _ in wanted]
    assert order == ["p9.0i7", "p1.0i2", "p1.0i3", "p1.0iNone"]


def test_waiting_tasks_age(store: SqlStore) -> None:
    submitted(store, spec(source_id="old", priority=1.0))
    submitted(store, spec(source_id="new", priority=1.5), now=NOW + 1000)
    [first] = claim(store, "a", limit=1, now=NOW + 1000)
    assert first.job["source_id"] == "old"


def test_a_changed_priority_counts_at_the_next_hand_out(store: SqlStore) -> None:
    low, high = submitted(store, spec(source_id="low", priority=1), spec(source_id="high", priority=2))
    assert store.set_priorities({low: 3.0, high: 2.5, 999_999: 1.0}) == [999_999]
    [first] = claim(store, "a", limit=1)
    assert (first.job["source_id"], first.job["priority"]) == ("low", 3.0)
    assert store.job(high).priority == 2.5


def test_a_priority_changed_while_its_task_is_handed_out_counts_when_it_comes_back(store: SqlStore) -> None:
    back, other = submitted(store, spec(source_id="back", priority=5), spec(source_id="other", priority=1))
    [message] = claim(store, "a", limit=1)
    assert message.job_id == back
    store.set_priorities({back: -100.0})
    store.record([done(message, outcome=Outcome.HANDED_BACK)], now=NOW)
    store.release_due(now=NOW + 1)
    assert [waiting.job_id for waiting in claim(store, "a", now=NOW + 1)] == [other, back]


def test_priorities_by_index(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec(source_id=str(i), index=i, stream_id="s") for i in range(3)))
    assert store.set_priorities_by_index("s", {2: 8.0, 7: 1.0}) == [7]
    assert [store.job(job_id).priority for job_id in job_ids] == [1, 1, 8]


def test_a_passing_failure_is_tried_again_after_a_pause(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    now = NOW
    for attempt in (1, 2, 3):
        [message] = claim(store, "a", now=now)
        assert message.attempt == attempt
        failed = done(message, state=TaskState.REMOTE_TROUBLE, message="link down")
        store.record([failed], now=now)
        assert claim(store, "a", now=now) == []
        now += 100
        store.release_due(now=now)
    job = store.job(job_id)
    assert job.state is TaskState.REMOTE_TROUBLE
    assert "link down" in job.tasks[0].message


def test_a_permanent_failure_ends_the_job_and_a_retry_runs_it_again(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}))
    [message] = claim(store, "a")
    store.record([done(message, state=TaskState.SOURCE_MISSING, message="no file x")], now=NOW)
    assert states(store, job_id) == [404, 201]
    assert store.job(job_id).state is TaskState.SOURCE_MISSING
    store.retry_job(job_id, now=NOW)
    with pytest.raises(ConflictError):
        store.retry_job(job_id, now=NOW)
    [again] = claim(store, "a")
    assert again.attempt == 2
    store.record([done(again, response={"ok": 1})], now=NOW)
    [following] = claim(store, "b")
    store.record([done(following)], now=NOW)
    assert store.job(job_id).state is TaskState.DONE


def test_forceretry_replaces_the_answer_and_runs_what_depends_on_it(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["a", "b"]}))
    for key in ("a", "b"):
        store.record([done(claim(store, key)[0], response={"size": 1})], now=NOW)
    task_id = store.job(job_id).tasks[0].task_id
    store.force_retry_task(task_id, now=NOW)
    assert states(store, job_id) == [201, 201]
    store.record([done(claim(store, "a")[0], response={"other": 2})], now=NOW)
    assert store.job(job_id).responses == {"a": {"other": 2}}
    assert len(claim(store, "b")) == 1


def test_forceretry_of_a_running_task_ignores_its_late_result(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [old] = claim(store, "a")
    store.force_retry_task(old.task_id, now=NOW)
    assert store.record([done(old, response={"old": 1})], now=NOW) == []
    [new] = claim(store, "a")
    store.record([done(new, response={"new": 1})], now=NOW)
    assert store.job(job_id).responses == {"a": {"new": 1}}


def test_a_reset_task_waits_until_it_is_asked_for(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    with pytest.raises(ConflictError, match="being run"):
        store.reset_task(message.task_id, now=NOW)
    store.record([done(message)], now=NOW)
    job = store.reset_task(message.task_id, now=NOW)
    assert job.to_json()["tasks"]["Task"]["task_state"] == 201
    assert claim(store, "a") == []
    store.retry_task(message.task_id, now=NOW)
    with pytest.raises(ConflictError, match="nothing to retry"):
        store.retry_task(message.task_id, now=NOW)
    assert len(claim(store, "a")) == 1
    assert job_id in store.job_ids(JobFilter(state="open"), cursor=None, limit=10).items


def test_whichever_of_an_optional_task_and_its_successor_is_claimed_first_decides(store: SqlStore) -> None:
    tree = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, "up"]}
    overtaken, kept = submitted(store, spec(tree, source_id="1"), spec(tree, source_id="2"))
    [up] = claim(store, "up", limit=1)
    assert up.job_id == overtaken
    assert states(store, overtaken) == [204, 102]
    [pre] = claim(store, "pre")
    assert pre.job_id == kept
    assert claim(store, "up") == []
    store.record([done(pre, state=TaskState.BAD_INPUT, message="odd")], now=NOW)
    [late] = claim(store, "up")
    store.record([done(late), done(up)], now=NOW)
    assert states(store, kept) == [502, 200]
    assert {store.job(job_id).state for job_id in (overtaken, kept)} == {TaskState.DONE}


def test_a_decision_makes_its_task_ready_and_travels_with_it(store: SqlStore) -> None:
    [job_id] = submitted(store, spec({"taskSequential": ["focus-score", "tier"]}, stream_id="s"))
    [scored] = claim(store, "focus-score")
    assert scored.parameters == {"bits": 12}
    store.record([done(scored, response={"plls": -1.2})], now=NOW)
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
    store.record([done(tier, response={"size_bytes": 7})], now=NOW)
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
    store.record([done(claim(store, "focus-score")[0], response={"plls": 0})], now=NOW)
    [waiting] = store.undecided(limit=1)
    store.record_decisions({waiting.task_id: Decision(0.6, "hot", "why", "f" * 64, {})}, now=NOW)
    [message] = claim(store, "b")
    assert message.job["tasks"]["taskSequential"][1]["Task"]["priority"] == 0.6


def test_heartbeats_renew_leases_and_a_vanished_worker_counts(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    now = NOW
    for _ in range(2):
        [message] = claim(store, "a", now=now)
        held = HeldAttempt(task_id=message.task_id, attempt=message.attempt, started_at=now)
        store.renew("w1", [held], until=now + 100)
        assert store.expired(now=now + 50, limit=10) == []
        now += 101
        store.record(store.expired(now=now, limit=10), now=now)
    job = store.job(job_id)
    assert job.state is TaskState.ERROR
    assert "worker died 2 times" in job.tasks[0].message


def lost(message: TaskMessage, *, worker_id: str) -> TaskResult:
    return done(message, outcome=Outcome.LOST).model_copy(update={"worker_id": worker_id, "started_at": None})


def test_a_loss_told_by_another_only_shortens_the_lease(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
    store.renew("w1", [held], until=NOW + 30)

    assert store.record([lost(message, worker_id="w2"), lost(message, worker_id="w3")], now=NOW) == []
    assert store.next_due() == NOW + 10

    store.renew("w1", [held], until=NOW + 35)
    assert store.expired(now=NOW + 34, limit=10) == [], "the holder lives"
    [change] = store.record([done(message)], now=NOW + 34)
    assert change.state is TaskState.DONE
    assert (store.job(job_id).tasks[0].losses, store.job(job_id).tasks[0].worker_id) == (0, "w1")


@pytest.mark.parametrize(("holder", "losses"), [("w1", 1), (None, 0)])
def test_what_another_told_lost_is_handed_out_again_soon_and_counted_once(
    store: SqlStore, holder: str | None, losses: int
) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    if holder is not None:
        started = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
        store.renew(holder, [started], until=NOW + 30)
    store.record([lost(message, worker_id="w2")], now=NOW)
    ended = store.expired(now=NOW + 10.1, limit=10)
    store.record([*ended, lost(message, worker_id="w2")], now=NOW + 10.1)
    store.release_due(now=NOW + 11)
    assert [again.attempt for again in claim(store, "a", now=NOW + 11)] == [2]
    assert store.job(job_id).tasks[0].losses == losses


def test_the_holder_s_own_word_ends_its_attempt_at_once(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    held = HeldAttempt(task_id=message.task_id, attempt=1, started_at=NOW)
    store.renew("w1", [held], until=NOW + 30)
    store.record([lost(message, worker_id="w1")], now=NOW)
    assert [again.attempt for again in claim(store, "a")] == [2]
    assert store.job(job_id).tasks[0].losses == 1


def test_an_attempt_that_never_started_does_not_count_as_lost(store: SqlStore) -> None:
    submitted(store, spec())
    now = NOW
    for attempt in range(1, 6):
        [message] = claim(store, "a", now=now)
        assert message.attempt == attempt
        now += 31
        store.record(store.expired(now=now, limit=10), now=now)
        assert store.next_due() is not None
        now += 1
        assert store.release_due(now=now) == 1


def test_claims_at_the_same_time_never_share_a_task(store: SqlStore) -> None:
    submitted(store, *(spec(source_id=str(i)) for i in range(200)))
    barrier, claimed = Barrier(4), []

    def work() -> None:
        barrier.wait()
        while messages := claim(store, "a", limit=7):
            claimed.extend(message.task_id for message in messages)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 200


def test_jobs_are_found_by_the_state_in_which_they_are_shown(store: SqlStore) -> None:
    running, waiting, held, failed = submitted(store, *(spec(key, source_id=key) for key in "abcd"))
    claim(store, "a")
    store.reset_task(store.job(held).tasks[0].task_id, now=NOW)
    store.record([done(claim(store, "d")[0], state=TaskState.BAD_INPUT)], now=NOW)

    def found(state: int) -> list[int]:
        return store.job_ids(JobFilter(state=state), cursor=None, limit=10).items

    assert found(TaskState.RUNNING) == [running]
    assert found(TaskState.REGISTERED) == [waiting, held]
    assert found(TaskState.RESET) == [held]
    assert found(TaskState.BAD_INPUT) == [failed]
    for job_id in (running, waiting, held, failed):
        assert job_id in found(store.job(job_id).to_json()["state"])


def test_lists_are_paged(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec(source_id=f"s{i % 2}") for i in range(5)))
    page = store.job_ids(JobFilter(source_id="s0"), cursor=None, limit=2)
    rest = store.job_ids(JobFilter(source_id="s0"), cursor=page.next, limit=2)
    assert page.items + rest.items == job_ids[::2]
    assert rest.next is None
    for number, message in enumerate(sorted(claim(store, "a"), key=lambda m: -m.task_id)):
        store.record([done(message)], now=NOW + number)
    first = store.jobs(JobFilter(ended_since=NOW + 1), cursor=None, limit=3)
    second = store.jobs(JobFilter(ended_since=NOW + 1), cursor=first.next, limit=3)
    assert [job.job_id for job in first.items + second.items] == job_ids[3::-1]
    sources = store.sources("default", cursor=None, limit=3)
    more = store.sources("default", cursor=sources.next, limit=3)
    assert [source.job_id for source in sources.items + more.items] == job_ids


def test_a_deleted_job_is_gone_and_its_result_harmless(store: SqlStore) -> None:
    [job_id] = submitted(store, spec())
    [message] = claim(store, "a")
    store.delete(job_id)
    assert store.record([done(message)], now=NOW) == []
    with pytest.raises(NotFoundError):
        store.job(job_id)
    with pytest.raises(NotFoundError):
        store.job_of_task(message.task_id)


def test_the_numbers_of_deleted_jobs_are_never_given_again(store: SqlStore) -> None:
    [first] = submitted(store, spec())
    task_id = store.job(first).tasks[0].task_id
    store.delete(first)
    [second] = submitted(store, spec())
    assert second > first
    assert store.job(second).tasks[0].task_id > task_id


def test_streams_are_joined_by_those_who_mean_the_same(store: SqlStore) -> None:
    stream, created = store.create_stream("s", PIPELINE, "observe", now=NOW)
    assert created
    assert store.create_stream("s", PIPELINE, "observe", now=NOW + 1) == (stream, False)
    with pytest.raises(ConflictError):
        store.create_stream("s", PIPELINE, "enforce", now=NOW)
    assert store.stream("s").pipeline == PIPELINE
    assert [item.stream_id for item in store.streams(cursor=None, limit=10).items] == ["s"]


def test_workers_and_queues_are_seen(store: SqlStore) -> None:
    submitted(store, spec("a"), spec("b"), now=NOW)
    claim(store, "b")
    here = Presence(worker_id="w1", host="h", pid=1, keys=("a",), site="default", slots=2, sent_at=NOW)
    store.save_presence([here], now=NOW)
    store.save_presence([here.model_copy(update={"slots": 3})], now=NOW + 5)
    [worker] = store.workers(seen_since=NOW + 1)
    assert (worker.presence.slots, worker.seen_at) == (3, NOW + 5)
    assert store.workers(seen_since=NOW + 6) == []
    views = {view.route.task_key: view for view in store.queues()}
    assert (views["a"].ready, views["a"].oldest_ready_at) == (1, NOW)
    assert (views["b"].ready, views["b"].handed_out) == (0, 1)


def test_demand_is_where_tasks_are_ready(store: SqlStore) -> None:
    submitted(store, *(spec("a", source_id=str(number)) for number in range(3)), spec("b"), now=NOW)
    claim(store, "a", limit=2)
    claim(store, "b")
    routes = [Route(key, "default") for key in ("a", "b", "unknown")]

    assert store.demand(routes) == {Route("a", "default"): 2}, "of b everything is in flight"
    assert store.demand([]) == {}


def test_each_hand_out_and_what_it_overtakes_is_a_line_of_the_log(store: SqlStore) -> None:
    tasks = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, "up"]}
    [job_id, _] = submitted(store, spec(tasks=tasks), spec("plain", source_id="b"))
    with capture_logs() as lines:
        claim(store, "up")
        claim(store, "plain")
    told = [(line["job_id"], line["task_key"], line["state"]) for line in lines]
    assert told == [(job_id, "pre", 204), (job_id, "up", 102), (job_id + 1, "plain", 102)]

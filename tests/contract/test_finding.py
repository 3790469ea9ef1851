"""What every database shows to those who look: jobs, sources, workers and queues."""

from typing import Literal

from haste_core.messages import Presence
from haste_core.states import TaskState
from haste_core.stores import JobFilter
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, spec, submitted


def test_jobs_are_found_by_the_state_in_which_they_are_shown(store: SqlStore) -> None:
    running, waiting, held, failed = submitted(store, *(spec(key, source_id=key) for key in "abcd"))
    claim(store, "a")
    store.reset_task(store.job(held).tasks[0].task_id, now=NOW)
    store.record([result_of(claim(store, "d")[0], state=TaskState.BAD_INPUT)], now=NOW)

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
        store.record([result_of(message)], now=NOW + number)
    first = store.jobs(JobFilter(ended_since=NOW + 1), cursor=None, limit=3)
    second = store.jobs(JobFilter(ended_since=NOW + 1), cursor=first.next, limit=3)
    assert [job.job_id for job in first.items + second.items] == job_ids[3::-1]
    sources = store.sources("default", cursor=None, limit=3)
    more = store.sources("default", cursor=sources.next, limit=3)
    assert [source.job_id for source in sources.items + more.items] == job_ids


def test_pages_hold_jobs_of_several_states_in_the_order_of_their_numbers(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec("abc"[i % 3], source_id=f"s{i}") for i in range(12)))
    for job_id in job_ids[1::3]:  # those of key b are held
        store.reset_task(store.job(job_id).tasks[0].task_id, now=NOW)
    ends = [TaskState.BAD_INPUT, TaskState.ERROR, TaskState.DONE, TaskState.BAD_INPUT]
    for message, state in zip(claim(store, "c"), ends, strict=True):
        store.record([result_of(message, state=state)], now=NOW)

    def listed(state: Literal["open", "failed"]) -> list[int]:
        found: list[int] = []
        cursor = None
        while cursor is not None or not found:
            page = store.job_ids(JobFilter(stream_id="default", state=state), cursor=cursor, limit=3)
            found += page.items
            cursor = page.next
        return found

    ended = job_ids[2::3]
    assert listed("open") == [job_id for job_id in job_ids if job_id not in ended]
    assert listed("failed") == [ended[0], ended[1], ended[3]]
    nothing = store.job_ids(JobFilter(stream_id="other", state="open"), cursor=None, limit=3)
    assert (nothing.items, nothing.next) == ([], None)


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

"""Which tasks every database hands out, in which order, and each to one engine only."""

from threading import Barrier, Thread

import pytest
from structlog.testing import capture_logs

from haste_core.messages import Outcome, Place
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, states, submitted


def test_ready_tasks_go_out_by_priority_then_index(store: SqlStore) -> None:
    wanted = [(1.0, 3), (1.0, 2), (9.0, 7), (1.0, None)]
    submitted(
        store,
        *(spec(source_id=f"p{p}i{i}", priority=p, **({} if i is None else {"index": i})) for p, i in wanted),
    )
    order = [claim(store, "a", limit=1)[0].job["source_id"] for _ in wanted]
    assert order == ["p9.0i7", "p1.0i2", "p1.0i3", "p1.0iNone"]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_worker_is_told_from_which_answer_a_decision_is_made(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "observe", now=NOW)
    submitted(store, spec({"taskParallel": ["focus-score", "a"]}, stream_id="s"))
    assert [message.is_scored for key in ("focus-score", "a") for message in claim(store, key)] == [
        True,
        False,
    ]


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
    store.record([result_of(message, outcome=Outcome.HANDED_BACK)], now=NOW)
    store.release_due(now=NOW + 1)
    assert [waiting.job_id for waiting in claim(store, "a", now=NOW + 1)] == [other, back]


def test_priorities_by_index(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec(source_id=str(i), index=i, stream_id="s") for i in range(3)))
    assert store.set_priorities_by_index("s", {2: 8.0, 7: 1.0}) == [7]
    assert [store.job(job_id).priority for job_id in job_ids] == [1, 1, 8]


def test_a_place_routes_the_tasks_that_follow(store: SqlStore) -> None:
    submitted(store, spec({"taskSequential": ["a", "b"]}))
    [message] = claim(store, "a")
    store.record([result_of(message, place=Place(url="root://x/y", site="hpc"))], now=NOW)
    assert claim(store, "b") == []
    [following] = store.claim(Route("b", "hpc"), 1, now=NOW, lease_s=30)
    assert following.site == "hpc"


def test_whichever_of_an_optional_task_and_its_successor_is_claimed_first_decides(store: SqlStore) -> None:
    tree = {"taskSequential": [{"Task": {"task_key": "pre", "optional": True}}, "up"]}
    overtaken, kept = submitted(store, spec(tree, source_id="1"), spec(tree, source_id="2"))
    [up] = claim(store, "up", limit=1)
    assert up.job_id == overtaken
    assert states(store, overtaken) == [204, 102]
    [pre] = claim(store, "pre")
    assert pre.job_id == kept
    assert claim(store, "up") == []
    store.record([result_of(pre, state=TaskState.BAD_INPUT, message="odd")], now=NOW)
    [late] = claim(store, "up")
    store.record([result_of(late), result_of(up)], now=NOW)
    assert states(store, kept) == [502, 200]
    assert {store.job(job_id).state for job_id in (overtaken, kept)} == {TaskState.DONE}


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

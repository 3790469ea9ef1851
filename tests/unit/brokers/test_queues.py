"""The embedded broker's queues: fair, and nothing is lost or doubled."""

from hypothesis import given
from hypothesis import strategies as st

from haste_core.routing import Route
from haste_server.brokers.queues import Assignment, QueuedBatch, Taker, TaskQueues

_SCORE, _TIER = Route("focus-score", "lab1"), Route("tier", "lab1")


def _tasks(route: Route, *task_ids: int) -> list[QueuedBatch]:
    return [QueuedBatch(route, ((task_id, 1),), b"") for task_id in task_ids]


def _id(batch: QueuedBatch) -> int:
    return batch.attempts[0][0]


def _ids(assigned: list[Assignment], taker: Taker) -> list[int]:
    return [_id(item.batch) for item in assigned if item.taker is taker]


def test_tasks_are_dealt_in_turn() -> None:
    queues, first, second = TaskQueues(), Taker([_SCORE], 10), Taker([_SCORE], 10)
    queues.join(first)
    queues.join(second)
    assigned, _ = queues.put(_tasks(_SCORE, 1, 2, 3, 4))
    assert (_ids(assigned, first), _ids(assigned, second)) == ([1, 3], [2, 4])


def test_a_taker_without_credit_is_passed_over() -> None:
    queues, small, large = TaskQueues(), Taker([_SCORE], 1), Taker([_SCORE], 10)
    queues.join(small)
    queues.join(large)
    assigned, _ = queues.put(_tasks(_SCORE, 1, 2, 3, 4))
    assert (_ids(assigned, small), _ids(assigned, large)) == ([1], [2, 3, 4])


def test_a_released_place_is_filled_from_the_queue() -> None:
    queues, taker = TaskQueues(), Taker([_SCORE], 2)
    queues.join(taker)
    assigned, _ = queues.put(_tasks(_SCORE, 1, 2, 3, 4))
    assert [_id(item.batch) for item in queues.release(taker, [assigned[0].tag])] == [3]


def test_a_place_is_free_when_all_tasks_that_came_together_are_released() -> None:
    queues, taker = TaskQueues(), Taker([_SCORE], 1)
    queues.join(taker)
    assigned, _ = queues.put([QueuedBatch(_SCORE, ((1, 1), (2, 1)), b""), *_tasks(_SCORE, 3)])
    assert queues.release(taker, [assigned[0].tag]) == []
    assert [_id(item.batch) for item in queues.release(taker, [assigned[0].tag])] == [3]


def test_a_task_that_waited_too_long_is_dropped_unless_a_worker_had_it() -> None:
    now = 0.0
    queues = TaskQueues(clock=lambda: now)
    leaver, stayer = Taker([_SCORE], 1), Taker([_SCORE], 0)
    queues.join(leaver)
    queues.join(stayer)
    queues.put([QueuedBatch(_SCORE, ((n, 1),), b"", expires_at=10.0 * n) for n in (1, 2, 3)])
    queues.leave(leaver)
    now = 20.0
    assigned = queues.join(Taker([_SCORE], 10))
    assert [(_id(item.batch), item.batch.redelivered) for item in assigned] == [(1, True), (3, False)]


def test_a_busy_route_does_not_starve_another() -> None:
    queues, taker = TaskQueues(), Taker([_SCORE, _TIER], 1)
    queues.join(taker)
    assigned, _ = queues.put(_tasks(_SCORE, *range(10)) + _tasks(_TIER, *range(100, 110)))
    order = []
    while assigned:
        order.append(_id(assigned[0].batch))
        assigned = queues.release(taker, [assigned[0].tag])
    assert len(order) == 20
    assert sum(task_id >= 100 for task_id in order[:6]) in (2, 3)


def test_what_a_leaver_held_comes_first_and_is_marked() -> None:
    queues, leaver, stayer = TaskQueues(), Taker([_SCORE], 2), Taker([_SCORE], 0)
    queues.join(leaver)
    queues.join(stayer)
    queues.put(_tasks(_SCORE, 1, 2, 3))
    queues.leave(leaver)
    heir = Taker([_SCORE], 10)
    assigned = queues.join(heir)
    assert [(_id(item.batch), item.batch.redelivered) for item in assigned] == [
        (1, True),
        (2, True),
        (3, False),
    ]


def test_without_a_taker_tasks_are_stranded() -> None:
    queues, taker = TaskQueues(), Taker([_TIER], 10)
    queues.join(taker)
    assigned, stranded = queues.put(_tasks(_SCORE, 1))
    assert (assigned, [_id(batch) for batch in stranded]) == ([], [1])
    queues.put(_tasks(_TIER, 2))
    assigned, stranded = queues.leave(taker)
    assert (assigned, [(_id(batch), batch.redelivered) for batch in stranded]) == ([], [(2, True)])


@given(steps=st.lists(st.tuples(st.sampled_from(["put", "join", "leave", "release"]), st.integers(0, 3))))
def test_every_task_is_in_exactly_one_place(steps: list[tuple[str, int]]) -> None:
    queues = TaskQueues()
    takers: list[Taker] = []
    next_id, ended, waiting = 0, 0, 0
    for step, number in steps:
        assigned: list[Assignment] = []
        stranded: list[QueuedBatch] = []
        if step == "put":
            assigned, stranded = queues.put(_tasks((_SCORE, _TIER)[number % 2], *range(next_id, next_id + 3)))
            next_id, waiting = next_id + 3, waiting + 3
        elif step == "join":
            takers.append(Taker([(_SCORE,), (_TIER,), (_SCORE, _TIER), (_TIER, _SCORE)][number], number + 1))
            assigned = queues.join(takers[-1])
        elif takers:
            taker = takers[number % len(takers)]
            if step == "leave":
                takers.remove(taker)
                waiting += len(taker.held)
                assigned, stranded = queues.leave(taker)
            elif taker.held:
                ended += 1
                assigned = queues.release(taker, [min(taker.held)])
        ended += len(stranded)
        waiting -= len(assigned) + len(stranded)
        held = [_id(held.batch) for taker in takers for held in taker.held.values()]
        assert len(held) == len(set(held)) == next_id - ended - waiting
        assert all(len(taker.held) <= taker.prefetch for taker in takers)
    for taker in list(takers):
        takers.remove(taker)
        assigned, stranded = queues.leave(taker)
        ended += len(stranded)
    assert ended == next_id

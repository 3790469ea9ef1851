"""The topology says what the design says."""

from haste_core.routing import CONTROL_EXCHANGE, DEAD_LETTER_QUEUE, RESULT_QUEUE, TASK_EXCHANGE, Route
from haste_runtime.topology import REVOCATION_KEY, Binding, engine_topology, worker_topology

_ROUTES = [Route("focus-score", "lab1"), Route("tier", "lab1")]


def test_a_worker_binds_one_queue_per_route_with_exactly_its_routing_key() -> None:
    of_tasks = [item for item in worker_topology(_ROUTES, "w1").bindings if item.exchange == TASK_EXCHANGE]
    assert of_tasks == [
        Binding("haste.focus-score.lab1", TASK_EXCHANGE, "focus-score.lab1"),
        Binding("haste.tier.lab1", TASK_EXCHANGE, "tier.lab1"),
    ]


def test_each_worker_has_its_own_queue_of_revocations_which_goes_when_it_is_gone() -> None:
    of_control = [
        item for item in worker_topology(_ROUTES, "w1").bindings if item.exchange == CONTROL_EXCHANGE
    ]
    assert of_control == [Binding("haste.revocations.w1", CONTROL_EXCHANGE, REVOCATION_KEY)]
    arguments = {queue.name: queue.arguments for queue in worker_topology(_ROUTES, "w1").queues}
    assert "x-expires" in arguments["haste.revocations.w1"]


def test_engines_and_workers_declare_shared_queues_alike() -> None:
    of_worker, of_engine = worker_topology(_ROUTES, "w1").queues, engine_topology("e1").queues
    shared = [queue for queue in of_worker if queue in of_engine]
    assert [queue.name for queue in shared] == [DEAD_LETTER_QUEUE, RESULT_QUEUE]


def test_only_the_results_send_what_is_rejected_to_the_dead_letters() -> None:
    # What expires in a queue would go the same way, and tasks expire in theirs.
    targets = {
        queue.name: (
            queue.arguments.get("x-dead-letter-exchange"),
            queue.arguments.get("x-dead-letter-routing-key"),
        )
        for queue in worker_topology(_ROUTES, "w1").queues
    }
    assert targets.pop(RESULT_QUEUE) == ("", DEAD_LETTER_QUEUE)
    assert set(targets.values()) == {(None, None)}


def test_an_engine_declares_no_queue_of_tasks() -> None:
    # Otherwise a task that no worker ever took would be kept there instead of coming back.
    assert not [binding for binding in engine_topology("e1").bindings if binding.exchange == TASK_EXCHANGE]


def test_each_engine_has_its_own_queue_of_heartbeats_which_goes_when_it_is_gone() -> None:
    of_others = {queue.name for queue in engine_topology("e2").queues}
    (own,) = [queue for queue in engine_topology("e1").queues if queue.name not in of_others]
    assert "x-expires" in own.arguments

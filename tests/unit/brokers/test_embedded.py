"""What only the embedded broker can know: a closed pipe is a worker's end."""

import os
import time
from collections.abc import Callable

from haste_core.messages import HeldAttempt, Presence
from haste_core.routing import Route
from haste_server.brokers.embedded import EmbeddedBroker
from haste_server.engine.inbox import Inbox
from haste_workers.transports.pipe import PipeTransport


def eventually(found: Callable[[], list[Presence]]) -> list[Presence]:
    deadline = time.monotonic() + 5
    while not (presences := found()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return presences


def test_a_worker_whose_pipe_closed_gets_no_more_tasks() -> None:
    broker, inbox = EmbeddedBroker(), Inbox()
    broker.start(inbox)
    (take, send), (hear, answer) = os.pipe(), os.pipe()
    broker.attach(os.fdopen(hear, "rb"), os.fdopen(send, "wb"))
    worker = PipeTransport(os.fdopen(take, "rb"), os.fdopen(answer, "wb"), on_closed=lambda: None)
    worker.start([Route("a", "here")], prefetch=1, on_task=lambda _: None, on_revoked=lambda _: None)
    present = Presence(
        worker_id="w",
        host="h",
        pid=1,
        keys=("a",),
        site="here",
        slots=1,
        held=(HeldAttempt(task_id=1, attempt=1),),
        sent_at=0,
    )
    worker.announce(present)
    assert eventually(lambda: inbox.presences.take(1, timeout_s=0)) == [present]

    worker.stop(timeout_s=1)

    [farewell] = eventually(lambda: inbox.presences.take(1, timeout_s=0))
    assert (farewell.worker_id, farewell.leaving, farewell.held) == ("w", True, ())
    broker.stop()

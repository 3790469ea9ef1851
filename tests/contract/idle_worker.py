"""A worker that takes tasks and never reports: to be killed by a test, as `kill -9` would kill a real one.

Run as ``python idle_worker.py amqp URL KEY SITE`` or ``python idle_worker.py pipe KEY SITE``. It writes a
line to standard error for each task that it takes.
"""

import os
import sys
import time

from haste_core.messages import Presence
from haste_core.ports import TaskDelivery, WorkerTransport
from haste_core.routing import Route
from haste_workers.transports.amqp import AmqpTransport
from haste_workers.transports.pipe import PipeTransport


def _transport(arguments: list[str]) -> WorkerTransport:
    if arguments[0] == "amqp":
        return AmqpTransport(arguments[1], "idle")
    reader, writer = os.fdopen(0, "rb", buffering=0), os.fdopen(1, "wb")
    return PipeTransport(reader, writer, on_closed=lambda: os._exit(0))


def _take(delivery: TaskDelivery) -> None:
    sys.stderr.write(f"took {delivery.message.task_id}\n")
    sys.stderr.flush()


transport = _transport(sys.argv[1:])
transport.start([Route(sys.argv[-2], sys.argv[-1])], prefetch=10, on_task=_take, on_revoked=lambda _: None)
while True:
    transport.announce(
        Presence(
            worker_id="idle", host="pc", pid=os.getpid(), keys=(), site="lab1", slots=1, sent_at=time.time()
        )
    )
    time.sleep(0.1)

"""The peer's no-op task; run by its own worker: ``dramatiq benchmarks.dramatiq_actors``."""

import os
import threading
from pathlib import Path

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["BENCHMARK_BROKER_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)

_done = 0
_counting = threading.Lock()


@dramatiq.actor
def no_op(last: int, news: str) -> None:
    """Count; the last one leaves a file."""
    global _done
    with _counting:
        _done += 1
        if _done == last:
            Path(news).touch()

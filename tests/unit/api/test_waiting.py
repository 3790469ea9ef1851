"""Which queues are live, as many requests ask it at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from haste_core.errors import TransientError
from haste_core.messages import Presence
from haste_core.ports import QueueView
from haste_core.routing import Route
from haste_core.stores import WorkerView
from haste_server.api.waiting import KEPT_S, LiveWorkers

WAIT_S = 10.0


@dataclass
class SlowStore:
    """A store of workers whose database answers when it is let."""

    keys: tuple[str, ...] = ("a",)
    looks: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    answers: threading.Event = field(default_factory=threading.Event)

    def workers(self, *, seen_since: float) -> list[WorkerView]:
        self.looks += 1
        self.asked.set()
        assert self.answers.wait(WAIT_S)
        here = Presence(worker_id="w", host="h", pid=1, keys=self.keys, site="lab1", slots=1, sent_at=0)
        return [WorkerView(here, seen_since)]

    def queues(self) -> list[QueueView]:
        return []

    def ping(self) -> None:
        """Be there."""


@dataclass
class Setting:
    store: SlowStore
    live: LiveWorkers
    pass_time: Callable[[float], None]


@pytest.fixture
def setting() -> Setting:
    store, time_s = SlowStore(), [1000.0]
    store.answers.set()
    live = LiveWorkers(store, clock=lambda: time_s[0], silence_s=30)

    def pass_time(seconds: float) -> None:
        time_s[0] += seconds

    return Setting(store, live, pass_time)


def test_one_slow_query_holds_up_only_who_asked_for_it(setting: Setting) -> None:
    assert setting.live.now().routes == {Route("a", "lab1")}
    setting.pass_time(2 * KEPT_S)
    setting.store.keys = ("b",)
    setting.store.answers.clear()
    setting.store.asked.clear()

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(setting.live.now)
        assert setting.store.asked.wait(WAIT_S)
        quick = threads.submit(setting.live.now)
        try:
            assert quick.result(WAIT_S / 2).routes == {Route("a", "lab1")}
            assert not slow.done()
        finally:
            setting.store.answers.set()
        assert slow.result(WAIT_S).routes == {Route("b", "lab1")}

    assert setting.live.now().routes == {Route("b", "lab1")}
    assert setting.store.looks == 2


def test_an_outage_is_told_and_the_next_request_looks_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.live.now()
    setting.pass_time(2 * KEPT_S)

    def away(**_: object) -> list[WorkerView]:
        raise TransientError("the database is not available")

    with monkeypatch.context() as outage:
        outage.setattr(setting.store, "workers", away)
        with pytest.raises(TransientError):
            setting.live.now()
    setting.store.keys = ("b",)

    assert setting.live.now().routes == {Route("b", "lab1")}


def test_a_clock_that_is_set_back_leads_to_a_new_look(setting: Setting) -> None:
    setting.live.now()
    setting.pass_time(-3600)
    setting.store.keys = ("b",)

    assert setting.live.now().routes == {Route("b", "lab1")}

"""Raises alerts, and tells them; nothing else waits for that."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from haste_core.alert_stores import AlertingStore, AlertRecord, DueDelivery
from haste_core.alerts import Fills
from haste_core.errors import HasteError, TransientError
from haste_core.ports import Clock
from haste_runtime.backoff import Backoff
from haste_server.engine.gauge import TierGauge
from haste_server.engine.loops import Loop

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
CLAIM_S = 60.0  # longer than channels mostly take; then another engine sends what a dead one did not
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0
GIVE_UP_AFTER_S = 3 * 86400.0  # a weekend
STOP_LIMIT_S = 2.0  # who hangs at the other end is not waited for: the alert is sent again


class Channel(Protocol):
    """A way out of the server."""

    name: str

    def send(self, alert: AlertRecord) -> str:
        """Send an alert; say what was odd, or raise TransientError if it was not taken."""


class _Step(Protocol):
    def step(self) -> None: ...

    def stop(self) -> None: ...


class Watcher:
    """Lets the rules of streams judge what is new, once a second."""

    def __init__(
        self, *, store: AlertingStore, gauge: TierGauge, channels: Sequence[str], clock: Clock
    ) -> None:
        self._store = store
        self._gauge = gauge
        self._channels = channels
        self._clock = clock
        self._since = clock()
        self._stopping = threading.Event()

    def step(self) -> None:
        """Look at all streams in which something may have become true, and wait."""
        fills = self._gauge.fills()
        fault: Exception | None = None
        for stream_id in self._store.watched():
            try:
                self._judge(stream_id, fills)
            except TransientError:
                raise
            except Exception as error:  # of one stream; the others must be watched
                fault = error
        self._stopping.wait(LOOK_EVERY_S)
        if fault is not None:
            raise fault

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()

    def _judge(self, stream_id: str, fills: Fills) -> None:
        more = True
        while more and not self._stopping.is_set():
            raised, more = self._store.judge(
                stream_id,
                now=self._clock(),
                listening_since=self._since,
                fills=fills,
                channels=self._channels,
            )
            for alert in raised:
                log.warning(
                    alert.message,
                    action="alert",
                    stream_id=alert.stream_id,
                    alert_id=alert.alert_id,
                    rule=alert.rule,
                )


class Messenger:
    """Sends what is due on one channel, one alert at a time, the oldest first."""

    def __init__(self, *, store: AlertingStore, channel: Channel, clock: Clock) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._rest = Backoff(first_s=0.5, longest_s=60.0)
        self._stopping = threading.Event()

    def step(self) -> None:
        """Send an alert, or wait for one."""
        due = self._store.next_delivery(self._channel.name, now=self._clock(), claim_s=CLAIM_S)
        if due is None:
            self._stopping.wait(LOOK_EVERY_S)
            return
        try:
            odd = self._channel.send(due.alert)
        except Exception as error:
            self._note_failure(due, error)
            self._stopping.wait(self._rest.next_s())  # others fail there, too
            return
        self._rest.reset()
        self._store.note_delivery(due.alert.alert_id, self._channel.name, now=self._clock(), trouble=odd)
        log.info(
            "alert delivered",
            action="alert_delivered",
            alert_id=due.alert.alert_id,
            channel=self._channel.name,
            odd=odd,
        )

    def stop(self) -> None:
        """End the wait."""
        self._stopping.set()

    def _note_failure(self, due: DueDelivery, error: Exception) -> None:
        known = isinstance(error, HasteError)
        trouble = str(error) if known else f"{type(error).__name__}; the server's log has more"
        now, pause_s = self._clock(), pause_after(due.failures)
        given_up = now + pause_s > due.alert.raised_at + GIVE_UP_AFTER_S
        due_at = None if given_up else now + pause_s
        alert_id, channel = due.alert.alert_id, self._channel.name
        self._store.note_failure(alert_id, channel, due_at=due_at, trouble=trouble)
        log.warning(
            "alert not delivered",
            action="alert_given_up" if given_up else "alert_not_delivered",
            alert_id=alert_id,
            channel=channel,
            failures=due.failures + 1,
            trouble=trouble,
            exc_info=None if known else error,
        )


def pause_after(failures: int) -> float:
    """Tell how long to wait with an alert that had failed so often before: each time twice as long."""
    return min(FIRST_PAUSE_S * 2.0 ** min(failures, 60), LONGEST_PAUSE_S)


class Alerting:
    """The threads that watch and those that tell: one for each channel, so that none waits for another.

    Parameters
    ----------
    folders : mapping of str to Path
        The tiers whose disks this server can see.
    quotas : mapping of str to int
        In bytes, of the tiers that have one.
    """

    def __init__(
        self,
        *,
        store: AlertingStore,
        channels: Sequence[Channel],
        folders: Mapping[str, Path],
        quotas: Mapping[str, int],
        clock: Clock,
    ) -> None:
        gauge = TierGauge(folders, quotas, held_bytes=store.held_bytes)
        watcher = Watcher(
            store=store, gauge=gauge, channels=[channel.name for channel in channels], clock=clock
        )
        messengers = [Messenger(store=store, channel=channel, clock=clock) for channel in channels]
        self._steps: list[_Step] = [gauge, watcher, *messengers]
        names = ["tiers", "alerts", *(channel.name for channel in channels)]
        self._loops = [Loop(name, step.step) for name, step in zip(names, self._steps, strict=True)]

    def start(self) -> None:
        """Begin."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End the threads; what is not delivered is so after the next start."""
        for loop in self._loops:
            loop.stop()
        for step in self._steps:
            step.stop()
        for loop in self._loops:
            loop.join(STOP_LIMIT_S)

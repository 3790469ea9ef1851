"""The engine's threads, started and stopped together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from haste_core.ports import Broker, Clock, Selector, TaskStore
from haste_core.scheduling import grace_s
from haste_core.tier_limits import TierLimits
from haste_server.engine.attendance import Attendance
from haste_server.engine.collector import Collector
from haste_server.engine.dispatcher import Dispatcher
from haste_server.engine.evaluator import Evaluator
from haste_server.engine.inbox import Inbox
from haste_server.engine.keeper import Keeper
from haste_server.engine.loops import Loop
from haste_server.engine.mover import Mover
from haste_server.engine.reconciler import Reconciler
from haste_server.engine.reviser import Reviser
from haste_server.engine.revoker import Revoker
from haste_server.metrics.counts import Counts

STOP_LIMIT_S = 10.0


class Beside(Protocol):
    """Something with a thread of its own in the engine."""

    def step(self) -> None:
        """Wait for work at most about a second, and do it."""

    def stop(self) -> None:
        """End the wait."""


@dataclass(frozen=True)
class EngineSettings:
    """What can be tuned.

    Attributes
    ----------
    lease_s : float
        A task whose worker is silent for this long is handed out again; a few heartbeats long.
    evaluation_limit_s : float
        Longest time that an interestingness function may take for one object.
    selectors : mapping of str to Selector
        By task key, for queues that are not handed out by rank.
    tier_limits : mapping of str to TierLimits
        By tier, for those from which objects go on.
    beside : mapping of str to Beside
        By the name of its thread, what selectors do while nobody waits for their choice.
    """

    lease_s: float = 30.0
    evaluation_limit_s: float = 10.0
    selectors: Mapping[str, Selector] = field(default_factory=dict)
    tier_limits: Mapping[str, TierLimits] = field(default_factory=dict)
    beside: Mapping[str, Beside] = field(default_factory=dict)


class Engine:
    """Hands out, collects, reconciles, decides and revokes, each in a thread of its own."""

    def __init__(
        self,
        *,
        store: TaskStore,
        broker: Broker,
        settings: EngineSettings,
        counts: Counts | None = None,
        clock: Clock = time.time,
    ) -> None:
        counts = Counts() if counts is None else counts
        self._broker = broker
        self._beside = tuple(settings.beside.values())
        self._inbox = Inbox()
        attendance = Attendance(forget_after_s=settings.lease_s)
        self._dispatcher = Dispatcher(
            store=store,
            broker=broker,
            attendance=attendance,
            selectors=settings.selectors,
            lease_s=settings.lease_s,
            counts=counts,
            clock=clock,
        )
        self._revoker = Revoker(store=store, broker=broker, attendance=attendance, clock=clock)
        self._evaluator = Evaluator(
            store=store,
            released=self._dispatcher.wake,
            time_limit_s=settings.evaluation_limit_s,
            clock=clock,
        )
        self._reviser = Reviser(store=store, clock=clock)
        self._mover = Mover(store=store, released=self._dispatcher.wake, clock=clock)
        self._keeper = Keeper(store=store, limits=settings.tier_limits, clock=clock)
        self._collector = Collector(
            store=store,
            broker=broker,
            arrivals=self._inbox.results,
            attendance=attendance,
            released=self.wake,
            # A selector's tasks are handed out when slots are free, and not before.
            patient=not settings.selectors,
            counts=counts,
            clock=clock,
        )
        reconciler = Reconciler(
            store=store,
            presences=self._inbox.presences,
            attendance=attendance,
            released=self.wake,
            can_hear=broker.is_up,
            lease_s=settings.lease_s,
            grace_s=grace_s(lease_s=settings.lease_s),
            counts=counts,
            clock=clock,
        )
        self._loops = [
            Loop("dispatcher", self._dispatcher.step),
            Loop("collector", self._collector.step),
            Loop("reconciler", reconciler.step),
            Loop("evaluator", self._evaluator.step),
            *(
                Loop(f"evaluator-lane-{number}", lane.step)
                for number, lane in enumerate(self._evaluator.lanes)
            ),
            Loop("revoker", self._revoker.step),
            Loop("mover", self._mover.step),
            Loop("reviser", self._reviser.step),
            Loop("keeper", self._keeper.step),
            *(Loop(name, part.step) for name, part in settings.beside.items()),
        ]

    def start(self) -> None:
        """Connect to the broker and begin."""
        self._broker.start(self._inbox)
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End the threads and store what has arrived; what is under way is collected by the next engine."""
        for loop in self._loops:
            loop.stop()
        self._evaluator.stop()
        self._revoker.stop()
        self._mover.stop()
        self._reviser.stop()
        self._keeper.stop()
        for part in self._beside:
            part.stop()
        self._inbox.results.close()
        self._inbox.presences.close()
        self.wake()
        for loop in self._loops:
            loop.join(STOP_LIMIT_S)
        self._collector.finish()
        self._evaluator.close()
        self._broker.stop()

    def wake(self) -> None:
        """Look at once: somebody stored jobs, or changed what may run."""
        self._evaluator.wake()
        self._dispatcher.wake()

    def trouble(self) -> str:
        """Tell what keeps the engine from its work; empty while it is well."""
        troubles = [loop.trouble for loop in self._loops if loop.trouble]
        if not self._broker.is_up():
            troubles.append("the broker is not connected")
        return "; ".join(dict.fromkeys(troubles))

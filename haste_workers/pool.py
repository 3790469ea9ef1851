"""The child processes of a worker: fed, watched, and replaced when they die."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Protocol

import structlog

from haste_core.messages import TaskResult
from haste_core.scheduling import MeanDurations
from haste_workers.attempts import Attempt, key_of
from haste_workers.children import Child, ChildPlan
from haste_workers.descendants import kill_adopted
from haste_workers.feeding import AHEAD_S, choose_child
from haste_workers.handlers.registry import HandlerUnusableError
from haste_workers.records import Kind, Record

_log = structlog.get_logger(__name__)

_RECALL_AFTER_S = 2 * AHEAD_S
_FIRST_RESPAWN_WAIT_S, _LONGEST_RESPAWN_WAIT_S = 0.5, 30.0


class PoolListener(Protocol):
    """What a pool tells its owner; called from within the pool's methods."""

    def started(self, attempt: Attempt) -> None:
        """Hear that a task runs."""

    def progressed(self) -> None:
        """Hear that a task told how far it is; that stands with its attempt."""

    def finished(self, result: TaskResult) -> None:
        """Take what a handler answered."""

    def crashed(self, attempt: Attempt, why: str) -> None:
        """Hear that a task's process died, or was killed: at the task's time limit, or as it was revoked."""

    def came_back(self, attempts: Sequence[Attempt]) -> None:
        """Take back tasks that have not run, or that died for another task's sake, in their order."""


class ChildPool:
    """Keeps a number of child processes.

    Parameters
    ----------
    plan : ChildPlan
    size : int
        How many processes.
    listener : PoolListener
    """

    def __init__(self, plan: ChildPlan, *, size: int, listener: PoolListener) -> None:
        self._plan = plan
        self._size = size
        self._listener = listener
        self._children: list[Child] = []
        self._spawned = 0
        self._spawn_due = 0.0
        self._spawn_wait_s = _FIRST_RESPAWN_WAIT_S
        self._durations: MeanDurations[str] = MeanDurations()

    def start(self) -> None:
        """Start the processes and wait until their handlers are loaded.

        Raises
        ------
        HandlerUnusableError
            If that fails.
        """
        self._children = [self._spawn() for _ in range(self._size)]
        for child in list(self._children):
            child.connection.poll(None)
            self.hear(child.connection)
            if not child.ready:
                raise HandlerUnusableError(child.unusable or "a child process died as it loaded the handlers")

    def end(self) -> None:
        """End the processes; what still runs is killed."""
        for child in self._children:
            if child.idle:
                child.quit()
            else:
                child.kill()
        for child in self._children:
            child.bury()
        self._children = []
        self._end_what_dead_children_left()

    @property
    def connections(self) -> list[Connection]:
        """To be waited on; `hear` the ones that are readable."""
        return [child.connection for child in self._children]

    @property
    def next_moment(self) -> float:
        """When `watch` has something to do at the latest, by `time.monotonic`."""
        moments = [child.deadline for child in self._children if child.deadline is not None]
        if any(child.ahead and not child.recalled for child in self._children):
            moments.append(time.monotonic() + _RECALL_AFTER_S)
        if len(self._children) < self._size:
            moments.append(self._spawn_due)
        return min(moments, default=float("inf"))

    def hear(self, connection: Connection) -> None:
        """Take in what a child has said."""
        child = next(child for child in self._children if child.connection is connection)
        try:
            for record in child.records():
                self._heard(child, record)
        except EOFError:
            self._bury(child)

    def feed(self, waiting: deque[Attempt]) -> None:
        """Give waiting tasks to children, as many as can start soon."""
        given: dict[Child, list[Attempt]] = {}
        while waiting and (child := choose_child(waiting[0], self._children, self._durations)) is not None:
            given.setdefault(child, []).append(child.book(waiting.popleft()))
        for child, attempts in given.items():
            child.give(attempts)

    def watch(self) -> None:
        """Enforce time limits, recall tasks that wait behind a long one, replace what died."""
        now = time.monotonic()
        for child in self._children:
            if child.deadline is not None and now >= child.deadline:
                child.stop_at_limit()
            elif child.ahead and not child.recalled and child.running_s > _RECALL_AFTER_S:
                child.recall()
        for child in [child for child in self._children if child.has_exited()]:
            # Its connection would tell as well, unless a program that it started keeps it open.
            self.hear(child.connection)
            if child in self._children:
                self._bury(child)
        if len(self._children) < self._size and now >= self._spawn_due:
            self._children.append(self._spawn())

    def revoke(self, attempt: Attempt) -> None:
        """Stop a task by killing its process; one that was sent ahead is asked back."""
        for child in self._children:
            if child.running is attempt:
                child.stop("stopped, since it was cancelled or asked for anew")
            elif attempt in child.ahead and not child.recalled:
                child.recall()

    def recall_all(self) -> None:
        """Ask the children for all tasks that have not started."""
        for child in self._children:
            if child.ahead and not child.recalled:
                child.recall()

    def _spawn(self) -> Child:
        self._spawned += 1
        return self._plan.spawn(self._spawned)

    def _heard(self, child: Child, record: Record) -> None:
        if record.kind is Kind.STARTED:
            attempt = child.started(tuple(record.value()))
            if attempt is not None:
                self._listener.started(attempt)
        elif record.kind is Kind.ENDED:
            self._ended(child, TaskResult.model_validate_json(record.body))
        elif record.kind is Kind.PROGRESS:
            child.progressed(*record.value())
            self._listener.progressed()
        elif record.kind is Kind.RETURNED:
            self._listener.came_back(child.returned([tuple(key) for key in record.value()]))
        elif record.kind is Kind.READY:
            child.ready = True
            self._spawn_wait_s = _FIRST_RESPAWN_WAIT_S
        elif record.kind is Kind.UNUSABLE:
            child.unusable = record.value()
            _log.error(child.unusable, action="handler-unusable")

    def _ended(self, child: Child, result: TaskResult) -> None:
        attempt = child.ended(key_of(result))
        if attempt is not None and result.duration_s is not None:
            self._durations.note(attempt.message.task_key, result.duration_s)
        self._listener.finished(result)

    def _bury(self, child: Child) -> None:
        self._children.remove(child)
        how = child.bury()
        self._end_what_dead_children_left()
        running, unstarted = child.running, list(child.ahead)
        if running is not None and child.killed_for(running) is not None:
            self._listener.crashed(running, str(child.killed_for(running)))
        elif running is not None and child.was_killed_here:
            # The task that was to be stopped had just ended; this one began in the meantime.
            unstarted.insert(0, running)
        elif running is not None:
            self._listener.crashed(running, f"the handler's process {how}")
        self._listener.came_back(unstarted)
        if not child.was_killed_here:
            _log.warning(f"a child process {how}", action="child-died", was_ready=child.ready)
        self._plan_replacement(child)

    def _end_what_dead_children_left(self) -> None:
        """End programs that stayed behind in sessions of their own; living children keep theirs."""
        kill_adopted(spared={child.pid for child in self._children if child.pid is not None})

    def _plan_replacement(self, dead: Child) -> None:
        self._spawn_due = time.monotonic()
        if not dead.ready:  # it could not even load its handlers: not again at once
            self._spawn_due += self._spawn_wait_s
            self._spawn_wait_s = min(2 * self._spawn_wait_s, _LONGEST_RESPAWN_WAIT_S)

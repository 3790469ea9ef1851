"""Decides about objects whose features are there, in child processes with a time limit."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import structlog

from haste_core.decisions import Decision, size_of
from haste_core.errors import TransientError
from haste_core.interestingness import ALONE, QUICK
from haste_core.policies import OwnPolicy, RankedPolicy
from haste_core.ports import Clock, TaskStore
from haste_core.ranking import Occupied, with_one_more
from haste_core.undecided import Answer, Decided, Postponed, Undecidable, Undecided
from haste_server.changes import log_changes
from haste_server.engine.evaluator_child import EvaluatorChild, OthersWanted
from haste_server.engine.set_deciding import SetsJudged, until_silence
from haste_server.engine.slow_streams import SlowStreams, Turn

log = structlog.get_logger(__name__)

BATCH = 100
LOOK_AGAIN_S = 1.0
GATHER_S = 0.05  # each batch of results wakes it, and many bring nothing to decide
RECORD_EVERY_S = 1.0  # slow functions' decisions must not wait for a whole batch
SLOW_LANES = 4  # streams with slow functions that are decided about at a time
REST_S = 15.0  # for a stream whose earlier decisions stand while a service is away
IDLE_S = 60.0  # then a lane's process ends

PAGE = 1000  # objects of a stream in one frame


class Evaluator:
    """Takes undecided tasks from the store, has them scored, and records the decisions.

    Functions that may be slow, since they ask a service or are a user's own, are left to `lanes`: they wait
    for one another there, a turn of about a second each, and nobody else waits for them.
    """

    def __init__(
        self, *, store: TaskStore, released: Callable[[], None], time_limit_s: float, clock: Clock
    ) -> None:
        self._store = store
        self._clock = clock
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._slow = SlowStreams()

        def judge() -> Judge:
            return Judge(
                store=store,
                released=released,
                time_limit_s=time_limit_s,
                clock=clock,
                stopping=self._stopping,
            )

        self._judge = judge()
        self.lanes = [Lane(self._slow, judge(), self.wake) for _ in range(SLOW_LANES)]

    def wake(self) -> None:
        """Look at once: features may have arrived."""
        self._awake.set()

    def stop(self) -> None:
        """Leave the objects in hand undecided, so that the threads can end soon."""
        self._stopping.set()
        self._awake.set()
        self._judge.kill()
        for lane in self.lanes:
            lane.stop()

    def step(self) -> None:
        """Wait to be woken, then decide everything that can be decided."""
        self._awake.wait(LOOK_AGAIN_S)
        self._stopping.wait(GATHER_S)
        self._awake.clear()
        while not self._stopping.is_set() and (self._decide_batch() or self._redecide_batch()):
            pass

    def close(self) -> None:
        """End the child processes."""
        self._judge.close()
        for lane in self.lanes:
            lane.close()

    def _decide_batch(self) -> bool:
        """Decide what waits, at most a batch, and tell whether there may be more of it."""
        waiting = self._store.undecided(limit=BATCH, now=self._clock(), without=self._slow.taken())
        quick = self._left_by_lanes(waiting, redeciding=False)
        decided = self._judge.decide(quick) if quick else 0
        return len(waiting) == BATCH or decided < len(quick)

    def _redecide_batch(self) -> bool:
        """Decide once more about some objects that are due, and tell whether there were any."""
        due = self._store.to_redecide(limit=BATCH, without=self._slow.taken())
        self._judge.redecide(self._left_by_lanes(due, redeciding=True))
        return bool(due)

    def _left_by_lanes(self, items: Sequence[Undecided], *, redeciding: bool) -> list[Undecided]:
        """Give the lanes what may be slow, and return the rest."""
        slow: defaultdict[str, list[Undecided]] = defaultdict(list)
        quick = []
        for item in items:
            if item.stands or _is_quick(item):
                quick.append(item)
            else:
                slow[item.stream_id].append(item)
        for stream_id, its in slow.items():
            self._slow.put(Turn(stream_id, its, redeciding))
        return quick


def _is_quick(item: Undecided) -> bool:
    spec, policy = item.pipeline.interestingness, item.pipeline.policy
    return spec is None or (spec.function in QUICK and not isinstance(policy, OwnPolicy))


class Lane:
    """Gives streams whose functions may be slow their turns, in a thread and a process of its own.

    Parameters
    ----------
    streams : SlowStreams
    judge : Judge
    turn_ended : callable
        Looks whether more of the stream waits.
    """

    def __init__(self, streams: SlowStreams, judge: Judge, turn_ended: Callable[[], None]) -> None:
        self._streams = streams
        self._judge = judge
        self._turn_ended = turn_ended
        self._used_at = time.monotonic()

    def step(self) -> None:
        """Wait for a turn, and take it."""
        turn = self._streams.take(timeout_s=LOOK_AGAIN_S)
        if turn is None:
            if time.monotonic() > self._used_at + IDLE_S:
                self._judge.close()
            return
        put_off = False
        try:
            if turn.redeciding:
                put_off = self._judge.redecide(turn.items)
            else:
                self._judge.decide(turn.items)
        finally:
            self._used_at = time.monotonic()
            self._streams.give_back(turn.stream_id, rest_s=REST_S if put_off else 0.0)
            self._turn_ended()

    def stop(self) -> None:
        """End a turn and a wait."""
        self._judge.kill()
        self._streams.end_waiting()

    def close(self) -> None:
        """End the child process."""
        self._judge.close()


class Judge:
    """Has objects scored one after another by a child process, and records what it says."""

    def __init__(
        self,
        *,
        store: TaskStore,
        released: Callable[[], None],
        time_limit_s: float,
        clock: Clock,
        stopping: threading.Event,
    ) -> None:
        self._store = store
        self._released = released
        self._clock = clock
        self._stopping = stopping
        self._child = EvaluatorChild(time_limit_s=time_limit_s, pages=self._pages)

    def decide(self, waiting: Sequence[Undecided]) -> int:
        """Decide about objects for about a second, and tell how many of them are decided about then."""
        of_sets, alone = _apart(waiting)
        decided = self._decide_alone(alone)
        if of_sets:
            decided += self._decide_sets(of_sets)
        self._released()
        return decided

    def _decide_alone(self, waiting: Sequence[Undecided]) -> int:
        """Decide so that functions which look at others see those that were decided about just before."""
        left = list(waiting)
        occupied: dict[str, tuple[Occupied, ...]] = {}
        record_by = time.monotonic() + RECORD_EVERY_S
        while left and time.monotonic() < record_by and not self._stopping.is_set():
            answered = self._ask(left, record_by, occupied, until=_looked_around)
            self._record(answered)
            left = self._as_it_is_now(left[len(answered) :], answered)
        return len(waiting) - len(left)

    def _as_it_is_now(
        self, left: list[Undecided], answered: Sequence[tuple[Undecided, Answer]]
    ) -> list[Undecided]:
        """Let those that are left see the last one that was decided about, if it is of their stream."""
        if not left or not answered or not _looked_around(*answered[-1]):
            return left
        stream_id = answered[-1][0].stream_id
        seen = self._store.last_decision(stream_id)
        return [replace(item, seen=seen) if item.stream_id == stream_id else item for item in left]

    def redecide(self, due: Sequence[Undecided]) -> bool:
        """Decide once more about objects for about a second, and tell whether some were put off."""
        self._store.redecided([(item, None) for item in due if item.stands], now=self._clock())
        of_sets, alone = _apart([item for item in due if not item.stands])
        answered = self._ask(alone)
        if of_sets:
            # A set that was decided about is not waited for again.
            judged = self._judge_sets(of_sets, now=math.inf)
            if self._stopping.is_set():
                return False
            self._record(judged.answered)
            again = {item.job_id for item, _ in judged.again}
            # What runs once more now is decided about when its features come.
            stays: list[tuple[Undecided, Decision | None]] = [
                (item, None) for item in of_sets if item.job_id not in again | judged.left
            ]
            self._store.redecided(stays, now=self._clock())
            answered += judged.again
        return self._redecided(answered)

    def _decide_sets(self, items: Sequence[Undecided]) -> int:
        judged = self._judge_sets(items, now=self._clock())
        # A set that is not found has lost its images, or was made by another rule: those are alone.
        alone = self._ask([item for item in items if item.job_id not in judged.job_ids])
        if self._stopping.is_set():
            return 0  # answers may be that we ended the child
        self._store.hold_sets(judged.held)
        # First those that follow: if this is interrupted, those that wait bring it all up again.
        self._redecided(judged.again, origin="set")
        self._record([*judged.answered, *alone])
        return sum(item.job_id not in judged.left for item in items)

    def _judge_sets(self, items: Sequence[Undecided], *, now: float) -> SetsJudged:
        judged = SetsJudged()
        names = list(
            dict.fromkeys((item.stream_id, item.set_key) for item in items if item.set_key is not None)
        )
        ask = until_silence(self._child.ask)
        found = self._store.set_members(names)
        record_by = time.monotonic() + RECORD_EVERY_S
        looking: set[str] = set()  # streams whose next set is to see what is decided about this one
        for name, members in found.items():
            if time.monotonic() > record_by or name[0] in looking:
                judged.leave(members)
                continue
            judged.add(name, members, ask, now=now)
            if judged.answered and _looked_around(*judged.answered[-1]):
                looking.add(judged.answered[-1][0].stream_id)
            if self._stopping.is_set():
                break
        _tell_postponed(judged.answered)
        return judged

    def _redecided(
        self,
        answered: Sequence[tuple[Undecided, Answer]],
        *,
        origin: Literal["new-policy", "set"] = "new-policy",
    ) -> bool:
        decided: list[tuple[Undecided, Decision | None]] = []
        put_off = False
        for item, answer in answered:
            match answer:
                case Decision():
                    decided.append((item, answer))
                case Postponed():
                    put_off = True
                case Undecidable(reason):
                    decided.append((item, None))
                    log.warning(
                        "an earlier decision stays", action="redecide_failed", job_id=item.job_id, why=reason
                    )
        self._store.redecided(decided, now=self._clock(), origin=origin)
        return put_off

    def kill(self) -> None:
        """End the child process under whoever waits for its answer."""
        self._child.kill()

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def _pages(self, wanted: OthersWanted) -> Iterator[list[Decided]]:
        after = wanted.after
        while decided := self._store.decided(wanted.stream_id, after=after, up_to=wanted.up_to, limit=PAGE):
            yield decided
            after = decided[-1].decision_id

    def _ask(
        self,
        waiting: Sequence[Undecided],
        record_by: float | None = None,
        occupied: dict[str, tuple[Occupied, ...]] | None = None,
        until: Callable[[Undecided, Answer], bool] = lambda _item, _answer: False,
    ) -> list[tuple[Undecided, Answer]]:
        answered: list[tuple[Undecided, Answer]] = []
        record_by = time.monotonic() + RECORD_EVERY_S if record_by is None else record_by
        occupied = {} if occupied is None else occupied  # by what is decided since `waiting` was loaded
        for one in waiting:
            item = replace(one, occupied=occupied.get(one.stream_id, one.occupied))
            answer = self._child.ask(item)
            if self._stopping.is_set():
                break  # the answer may be that we ended the child
            answered.append((item, answer))
            if isinstance(item.pipeline.policy, RankedPolicy) and isinstance(answer, Decision):
                occupied[item.stream_id] = _with_this(item, answer)
            if isinstance(answer, Postponed) and answer.silent:  # not asked in vain a hundred times
                answered += [(left, answer) for left in waiting[len(answered) :]]
                break
            if until(item, answer) or time.monotonic() > record_by:
                break
        _tell_postponed(answered)
        return answered

    def _record(self, answered: Sequence[tuple[Undecided, Answer]]) -> None:
        try:
            log_changes(self._store.record_decisions(answered, now=self._clock()))
        except TransientError:
            raise
        except Exception:
            task_ids = [item.task_id for item, _ in answered]
            log.exception("decisions cannot be stored", action="decisions_refused", task_ids=task_ids)
            if len(answered) > 1:  # one of them cannot be stored; the others must be
                for one in answered:
                    self._record([one])
                return
            why = Undecidable("the decision could not be stored; the server's log has the reason")
            log_changes(self._store.record_decisions([(answered[0][0], why)], now=self._clock()))


def _apart(items: Sequence[Undecided]) -> tuple[list[Undecided], list[Undecided]]:
    """Tell those that are decided about with their image sets from those that are alone."""
    return [item for item in items if item.is_of_a_set], [item for item in items if not item.is_of_a_set]


def _looked_around(item: Undecided, answer: Answer) -> bool:
    """Tell whether a function looked at other objects, and would look at this one next."""
    spec = item.pipeline.interestingness
    alone = spec is None or spec.function in ALONE
    return not alone and isinstance(answer, Decision) and answer.seen is not None


def _with_this(item: Undecided, decision: Decision) -> tuple[Occupied, ...]:
    if decision.score is None or item.present is not None:
        return item.occupied
    size_bytes = size_of(decision.features)
    return with_one_more(item.occupied, decision.tier, score=decision.score, size_bytes=size_bytes)


def _tell_postponed(answered: Sequence[tuple[Undecided, Answer]]) -> None:
    put_off = [(item, answer) for item, answer in answered if isinstance(answer, Postponed)]
    if put_off:
        item, answer = put_off[-1]
        log.warning(
            "scores postponed",
            action="scores_postponed",
            stream_id=item.stream_id,
            objects=len(put_off),
            trouble=answer.trouble,
        )

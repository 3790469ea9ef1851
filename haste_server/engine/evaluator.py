"""Decides about objects whose features are there, in a child process with a time limit."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import BinaryIO, cast

import structlog
from pydantic import TypeAdapter

from haste_core.decisions import Decision
from haste_core.errors import TransientError
from haste_core.ports import Answer, Clock, Decided, TaskStore, Undecidable, Undecided
from haste_runtime.endings import describe_ending
from haste_runtime.frames import FrameReader, write_frames
from haste_server.changes import log_changes
from haste_server.processes.environment import environment_without_secrets

log = structlog.get_logger(__name__)

BATCH = 100
LOOK_AGAIN_S = 1.0
GATHER_S = 0.05  # each batch of results wakes it, and many bring nothing to decide
RECORD_EVERY_S = 1.0  # slow functions' decisions must not wait for a whole batch
START_LIMIT_S = 30.0  # a child's first answer also waits for its start
MAX_DEATHS = 2  # of children over one object
EXIT_WAIT_S = 1.0  # a dying child closes its pipes a moment before it is gone

PAGE = 1000  # objects of a stream in one frame


@dataclass(frozen=True)
class OthersWanted:
    """What the child asks for: the decisions of a stream with numbers in (`after`, `up_to`]."""

    stream_id: str
    after: int
    up_to: int


question = TypeAdapter(Undecided)
verdict: TypeAdapter[Answer | OthersWanted] = TypeAdapter(Answer | OthersWanted)
page = TypeAdapter(list[Decided])
"""An answer to `OthersWanted` is several of these; the last one is empty."""


Said = Answer | OthersWanted | None
Pages = Callable[[OthersWanted], Iterable[list[Decided]]]


class Evaluator:
    """Takes undecided tasks from the store, has them scored, and records the decisions."""

    def __init__(
        self, *, store: TaskStore, released: Callable[[], None], time_limit_s: float, clock: Clock
    ) -> None:
        self._store = store
        self._released = released
        self._clock = clock
        self._child = EvaluatorChild(time_limit_s=time_limit_s, pages=self._pages)
        self._awake = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Look at once: features may have arrived."""
        self._awake.set()

    def stop(self) -> None:
        """Leave the object in hand undecided, so that the thread can end soon."""
        self._stopping.set()
        self._awake.set()
        self._child.kill()

    def step(self) -> None:
        """Wait to be woken, then decide everything that can be decided."""
        self._awake.wait(LOOK_AGAIN_S)
        self._stopping.wait(GATHER_S)
        self._awake.clear()
        while not self._stopping.is_set() and (self._decide_batch() or self._redecide_batch()):
            pass

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def _pages(self, wanted: OthersWanted) -> Iterator[list[Decided]]:
        after = wanted.after
        while decided := self._store.decided(wanted.stream_id, after=after, up_to=wanted.up_to, limit=PAGE):
            yield decided
            after = decided[-1].decision_id

    def _decide_batch(self) -> bool:
        """Decide what waits, at most a batch, and tell whether there may be more of it."""
        waiting = self._store.undecided(limit=BATCH)
        if not waiting:
            return False
        answered = self._decide(waiting)
        self._record(answered)
        self._released()
        return len(waiting) == BATCH or len(answered) < len(waiting)

    def _redecide_batch(self) -> bool:
        """Decide once more about some objects that are due, and tell whether there were any."""
        due = self._store.to_redecide(limit=BATCH)
        answered = self._decide(due)
        for item, answer in answered:
            if isinstance(answer, Undecidable):
                log.warning(
                    "an earlier decision stays", action="redecide_failed", job_id=item.job_id, why=answer
                )
        decided = [(item, answer if isinstance(answer, Decision) else None) for item, answer in answered]
        self._store.redecided(decided, now=self._clock())
        return bool(due)

    def _decide(self, waiting: Sequence[Undecided]) -> list[tuple[Undecided, Answer]]:
        answered: list[tuple[Undecided, Answer]] = []
        record_by = time.monotonic() + RECORD_EVERY_S
        for item in waiting:
            answer = self._child.ask(item)
            if self._stopping.is_set():
                break  # the answer may be that we ended the child
            answered.append((item, answer))
            if time.monotonic() > record_by:
                break
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


class EvaluatorChild:
    """A process that scores one object at a time; it is replaced when it dies or takes too long.

    Interestingness functions may be a user's own code: they must neither block nor break the engine.

    Parameters
    ----------
    time_limit_s : float
        For one object.
    pages : callable
        Loads what functions ask for of the stream's other objects.
    """

    def __init__(self, *, time_limit_s: float, pages: Pages) -> None:
        self._time_limit_s = time_limit_s
        self._pages = pages
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: SimpleQueue[Said] = SimpleQueue()
        self._fresh = True
        self._killed = threading.Event()

    def ask(self, item: Undecided) -> Answer:
        """Have an object scored.

        One death is not taken for the object's fault: the machine may have been out of memory. A fresh
        process is asked once more.

        Raises
        ------
        TransientError
            If no process can be started.
        """
        asked = question.dump_json(item, by_alias=True)
        ending = ""
        for _ in range(MAX_DEATHS):
            try:
                answer = self._exchange(asked)
            except Empty:
                self.close()
                return Undecidable(f"the interestingness function took longer than {self._time_limit_s:g} s")
            if answer is not None:
                return answer
            ending = self._bury()
            if self._killed.is_set():
                return Undecidable("the server stops")
            log.warning("evaluator died", action="evaluator_died", task_id=item.task_id, how=ending)
        return Undecidable(
            f"the interestingness function's process died {MAX_DEATHS} times over this object; the last one "
            f"{ending}. The server's log may tell more. Free memory or mend the function, then retry the job"
        )

    def kill(self) -> None:
        """End the process under whoever waits for its answer; no other object is asked about after that."""
        self._killed.set()
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.kill()
        process.wait()
        process.stdin.close()

    def _exchange(self, asked: bytes) -> Answer | None:
        """Ask the process, a fresh one if there is none; None if it died."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("evaluator died", action="evaluator_died", how=self._bury())
        process = self._process or self._start()
        said = self._answer_to(process, [asked])
        while isinstance(said, OthersWanted):
            frames = (page.dump_json(decided) for decided in itertools.chain(self._pages(said), [[]]))
            said = self._answer_to(process, frames)
        return said

    def _answer_to(self, process: subprocess.Popen[bytes], frames: Iterable[bytes]) -> Said:
        try:
            for frame in frames:
                write_frames(cast(BinaryIO, process.stdin), [frame])
        except OSError:
            return None
        limit_s = self._time_limit_s + (START_LIMIT_S if self._fresh else 0.0)
        said = self._answers.get(timeout=limit_s)
        self._fresh = False
        return said

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            # Unbuffered: nothing is left to be flushed into the pipe of a process that has died.
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "haste_server.engine.evaluation"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment_without_secrets(),
                bufsize=0,
            )
        except OSError as error:
            raise TransientError(
                f"the process that scores images cannot be started ({error}); it is tried again, but look "
                "whether this machine has memory left"
            ) from error
        if self._killed.is_set():
            process.kill()
        self._fresh = True
        self._answers = SimpleQueue()
        reading = threading.Thread(
            target=_read_answers,
            args=(cast(BinaryIO, process.stdout), self._answers),
            name="evaluator-answers",
            daemon=True,
        )
        reading.start()
        return process

    def _bury(self) -> str:
        """Forget the process, and tell how it ended."""
        assert self._process is not None
        try:
            ending = describe_ending(self._process.wait(EXIT_WAIT_S))
        except subprocess.TimeoutExpired:
            ending = "wrote something else than its answer"
        self.close()
        return ending


def _read_answers(stream: BinaryIO, answers: SimpleQueue[Said]) -> None:
    """Read until the stream ends: later than the process where a function has left programs behind."""
    reader = FrameReader(stream)
    try:
        with stream:
            while frames := reader.read():
                for frame in frames:
                    answers.put(verdict.validate_json(frame))
    except ValueError as error:
        log.warning("evaluator's answer cannot be read", action="evaluator_broke", trouble=str(error))
    answers.put(None)

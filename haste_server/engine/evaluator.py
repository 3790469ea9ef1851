"""Decides about objects whose features are there, in a child process with a time limit."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import BinaryIO, cast

import structlog
from pydantic import TypeAdapter

from haste_core.decisions import Decision
from haste_core.errors import TransientError
from haste_core.ports import Clock, TaskStore, Undecidable, Undecided
from haste_runtime.frames import FrameError, FrameReader, write_frames
from haste_server.changes import log_changes

log = structlog.get_logger(__name__)

BATCH = 100
LOOK_AGAIN_S = 1.0
GATHER_S = 0.02  # each batch of results wakes it, and many bring nothing to decide
RECORD_EVERY_S = 1.0  # slow functions' decisions must not wait for a whole batch
START_LIMIT_S = 30.0  # a child's first answer also waits for its start

question = TypeAdapter(Undecided)
verdict: TypeAdapter[Decision | Undecidable] = TypeAdapter(Decision | Undecidable)


class Evaluator:
    """Takes undecided tasks from the store, has them scored, and records the decisions."""

    def __init__(
        self, *, store: TaskStore, released: Callable[[], None], time_limit_s: float, clock: Clock
    ) -> None:
        self._store = store
        self._released = released
        self._clock = clock
        self._child = EvaluatorChild(time_limit_s=time_limit_s)
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
        while not self._stopping.is_set() and (waiting := self._store.undecided(limit=BATCH)):
            self._record(self._decide(waiting))
            self._released()

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def _decide(self, waiting: Sequence[Undecided]) -> dict[int, Decision | Undecidable]:
        decided: dict[int, Decision | Undecidable] = {}
        record_by = time.monotonic() + RECORD_EVERY_S
        for item in waiting:
            answer = self._child.ask(item)
            if self._stopping.is_set():
                break  # the answer may be that we ended the child
            decided[item.task_id] = answer
            if time.monotonic() > record_by:
                break
        return decided

    def _record(self, decided: dict[int, Decision | Undecidable]) -> None:
        try:
            log_changes(self._store.record_decisions(decided, now=self._clock()))
        except TransientError:
            raise
        except Exception:
            log.exception("decisions cannot be stored", action="decisions_refused", task_ids=list(decided))
            if len(decided) > 1:  # one of them cannot be stored; the others must be
                for task_id, answer in decided.items():
                    self._record({task_id: answer})
                return
            why = Undecidable("the decision could not be stored; the server's log has the reason")
            log_changes(self._store.record_decisions(dict.fromkeys(decided, why), now=self._clock()))


class EvaluatorChild:
    """A process that scores one object at a time; it is replaced when it dies or takes too long.

    Interestingness functions may be a user's own code: they must neither block nor break the engine.

    Parameters
    ----------
    time_limit_s : float
        For one object.
    """

    def __init__(self, *, time_limit_s: float) -> None:
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()
        self._reader: threading.Thread | None = None
        self._fresh = True

    def ask(self, item: Undecided) -> Decision | Undecidable:
        """Have an object scored."""
        try:
            answer = self._exchange(question.dump_json(item, by_alias=True))
        except Empty:
            self.close()
            return Undecidable(f"the interestingness function took longer than {self._time_limit_s:g} s")
        except OSError:
            answer = None
        try:
            if answer is not None:
                return verdict.validate_json(answer)
        except ValueError as error:
            log.warning("evaluator's answer cannot be read", action="evaluator_broke", trouble=str(error))
        self.close()
        return Undecidable("the interestingness function's process died; the server's log may tell why")

    def kill(self) -> None:
        """End the process under whoever waits for its answer."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and everything that belongs to it."""
        if self._process is None or self._reader is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = self._reader = None

    def _exchange(self, asked: bytes) -> bytes | None:
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        write_frames(cast(BinaryIO, self._process.stdin), [asked])
        limit_s = self._time_limit_s + (START_LIMIT_S if self._fresh else 0.0)
        answer = self._answers.get(timeout=limit_s)
        self._fresh = False
        return answer

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "haste_server.engine.evaluation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._fresh = True
        self._answers = SimpleQueue()
        self._reader = threading.Thread(
            target=_read_answers,
            args=(self._process, self._answers),
            name="evaluator-answers",
            daemon=True,
        )
        self._reader.start()


def _read_answers(process: subprocess.Popen[bytes], answers: SimpleQueue[bytes | None]) -> None:
    reader = FrameReader(cast(BinaryIO, process.stdout))
    try:
        while frames := reader.read():
            for frame in frames:
                answers.put(frame)
    except FrameError as error:
        log.warning("evaluator's answer broke off", action="evaluator_broke", trouble=str(error))
    answers.put(None)

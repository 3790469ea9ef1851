"""The process in which objects are scored, as the engine sees it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import BinaryIO, TypeAlias, cast

import structlog
from pydantic import TypeAdapter

from haste_core.asking import timeout_of
from haste_core.errors import TransientError
from haste_core.undecided import Answer, Decided, Postponed, Undecidable, Undecided
from haste_runtime.endings import describe_ending
from haste_runtime.frames import FrameReader, write_frames
from haste_server.processes.environment import environment_without_secrets

log = structlog.get_logger(__name__)

START_LIMIT_S = 30.0  # a child's first answer also waits for its start
MAX_DEATHS = 2  # of children over one object
EXIT_WAIT_S = 1.0  # a dying child closes its pipes a moment before it is gone
ANSWER_S = 1.0  # beyond a service's time-out, which its answer may stretch byte by byte


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

Said: TypeAlias = Answer | OthersWanted | None
Pages: TypeAlias = Callable[[OthersWanted], Iterable[list[Decided]]]


class EvaluatorChild:
    """A process that scores one object at a time; it is replaced when it dies or takes too long.

    Interestingness functions may be a user's own code: they must neither block nor break the engine.

    Parameters
    ----------
    time_limit_s : float
        For one object; a service that is asked has its own.
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
                answer = self._exchange(asked, limit_s=self._limit_s(item))
            except Empty:
                self.close()
                return self._too_slow(item)
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

    def _limit_s(self, item: Undecided) -> float:
        timeout_s = _service_timeout_s(item)
        return self._time_limit_s if timeout_s is None else timeout_s + ANSWER_S

    def _too_slow(self, item: Undecided) -> Undecidable | Postponed:
        timeout_s = _service_timeout_s(item)
        if timeout_s is None:
            return Undecidable(f"the interestingness function took longer than {self._time_limit_s:g} s")
        return Postponed(f"the service's answer did not end within {timeout_s:g} s", silent=True)

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

    def _exchange(self, asked: bytes, *, limit_s: float) -> Answer | None:
        """Ask the process, a fresh one if there is none; None if it died."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("evaluator died", action="evaluator_died", how=self._bury())
        process = self._process or self._start()
        said = self._answer_to(process, [asked], limit_s)
        while isinstance(said, OthersWanted):
            frames = (page.dump_json(decided) for decided in itertools.chain(self._pages(said), [[]]))
            said = self._answer_to(process, frames, limit_s)
        return said

    def _answer_to(self, process: subprocess.Popen[bytes], frames: Iterable[bytes], limit_s: float) -> Said:
        try:
            for frame in frames:
                write_frames(cast(BinaryIO, process.stdin), [frame])
        except OSError:
            return None
        said = self._answers.get(timeout=limit_s + (START_LIMIT_S if self._fresh else 0.0))
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


def _service_timeout_s(item: Undecided) -> float | None:
    spec = item.pipeline.interestingness
    return timeout_of(spec.parameters) if spec is not None and spec.function == "rest" else None


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

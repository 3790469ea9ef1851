"""One attempt of one task, from message to result, in the process that runs its handler."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Outcome, TaskMessage, TaskResult
from haste_core.states import TaskState
from haste_runtime.locks import is_held_elsewhere
from haste_workers.answers import MAX_ANSWER_BYTES, Answer, Handler, UnusableAnswerError, as_answer, sendable
from haste_workers.content import with_content
from haste_workers.context import ProgressListener, TaskContext
from haste_workers.measured import own_peak_bytes, size_text
from haste_workers.settings import WorkerSettings

_log = structlog.get_logger(__name__)

_MAX_MESSAGE_CHARACTERS = 2000
# Disks and shares that may recover; a missing file or a wrong permission will not.
_TRANSIENT_ERRNOS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETUNREACH")
    if hasattr(errno, name)
)


@dataclass
class Executor:
    """Runs handlers and turns whatever they do into results.

    Attributes
    ----------
    handlers : mapping
        By task key.
    scratch : Path
        Holds the temporary folder of each running task.
    worn_out : bool
        A task ran out of memory. What handlers leaked stays with the process, so that it had better end.
    """

    handlers: Mapping[str, Handler]
    settings: WorkerSettings
    worker_id: str
    scratch: Path
    clock: Callable[[], float] = time.time
    worn_out: bool = False

    def run(self, message: TaskMessage, *, on_progress: ProgressListener) -> TaskResult:
        """Run the task's handler. Never raises: failures are results."""
        started_at = self.clock()
        folder = self.scratch / f"{message.task_id}-{message.attempt}"
        context = TaskContext(message, settings=self.settings, scratch=folder, on_progress=on_progress)
        try:
            answer = self._answer(message, context)
            state, said = TaskState.DONE, answer.message
        # User code and decoders may raise anything, and scripts end with sys.exit: it is the task's failure.
        except (Exception, SystemExit) as error:
            answer = Answer()
            state, said = self._explain(error, message, context)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return TaskResult(
            task_id=message.task_id,
            attempt=message.attempt,
            worker_id=self.worker_id,
            outcome=Outcome.ENDED,
            state=state,
            message=sendable(said[:_MAX_MESSAGE_CHARACTERS]),
            response=dict(answer.response),
            place=answer.place,
            leaving=answer.leaving,
            thumbnail=answer.thumbnail,
            started_at=started_at,
            ended_at=self.clock(),
        )

    def _answer(self, message: TaskMessage, context: TaskContext) -> Answer:
        handler = self.handlers.get(message.task_key)
        if handler is None:
            raise PermanentError(f"this worker has no handler for {message.task_key!r}")
        deletes = message.decision is not None and message.decision.deletes
        answer = as_answer(handler(message.job, message, context), deletes=deletes)
        if message.is_scored:
            answer = with_content(answer, context)
        if answer.leaving is not None and answer.leaving == message.leaving:
            raise UnusableAnswerError(
                f"the handler was to remove {answer.leaving.url}, and asks for it again"
            )
        size_bytes = len(json.dumps(answer.response))
        if size_bytes > MAX_ANSWER_BYTES:
            raise UnusableAnswerError(
                f"the handler's answer takes {size_bytes} bytes of at most {MAX_ANSWER_BYTES}; "
                "write what is large to a file in context.output_dir and answer its path"
            )
        return answer

    def _explain(
        self, error: Exception | SystemExit, message: TaskMessage, context: TaskContext
    ) -> tuple[TaskState, str]:
        if isinstance(error, PermanentError | TransientError):
            return error.state, str(error)
        if isinstance(error, FileNotFoundError) and _is_source(error, context):
            return TaskState.SOURCE_MISSING, f"there is no file {error.filename}"
        if isinstance(error, PermissionError) and is_held_elsewhere(error):
            return TaskState.REMOTE_TROUBLE, f"another program has {error.filename} open for itself"
        if isinstance(error, MemoryError):
            self.worn_out = True
            return TaskState.ERROR, self._memory_message()
        _log.error(
            "handler failed",
            action="handler-failed",
            task_id=message.task_id,
            job_id=message.job_id,
            attempt=message.attempt,
            task_key=message.task_key,
            exc_info=error,
        )
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
            return TaskState.REMOTE_TROUBLE, said
        return TaskState.ERROR, said

    def _memory_message(self) -> str:
        limit_bytes, peak_bytes = self.settings.task_memory_bytes, own_peak_bytes()
        had = "" if peak_bytes is None else f"; its process had {size_text(peak_bytes)} at the most"
        if limit_bytes is None:
            return f"not enough memory on the worker's machine{had}"
        return (
            f"needs more memory than a task may take here ({size_text(limit_bytes)}, the worker's "
            f"`task_memory_bytes`{had})"
        )


def _is_source(error: FileNotFoundError, context: TaskContext) -> bool:
    """Tell whether the source vanished after the handler was given its path."""
    return context.found_source is not None and str(error.filename) == str(context.found_source)

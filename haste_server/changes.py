"""The log of what happens to tasks."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from haste_core.ports import StateChange

log = structlog.get_logger(__name__)


def log_changes(changes: Sequence[StateChange]) -> None:
    """Write one line a state change."""
    for change in changes:
        log.info(
            "task state",
            action="task_state",
            state=change.state.value,
            task_id=change.task_id,
            job_id=change.job_id,
            stream_id=change.stream_id,
            task_key=change.task_key,
            attempt=change.attempt,
            worker_id=change.worker_id,
            task_message=change.message,
        )

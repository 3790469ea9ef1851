"""The live display of the demo: how many images have passed each stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from haste_client import HasteClient
from haste_core.states import TaskState

STAGES = {
    "acquired": "acquired by the microscope",
    "preprocess": "preprocessed",
    "upload": "uploaded",
    "focus-score": "scored",
    "tier": "put into a tier",
}

# Asking for all jobs may take at most this share of the time.
_ASKING_SHARE = 0.2


class StageDisplay:
    """Shows on stderr how many images have passed each stage.

    Parameters
    ----------
    client : HasteClient
    stream_id : str
    count : int
        How many images there will be.
    """

    def __init__(self, client: HasteClient, stream_id: str, count: int) -> None:
        self._client = client
        self._stream_id = stream_id
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self._rows: dict[str, TaskID] = {
            stage: self._progress.add_task(text, total=count) for stage, text in STAGES.items()
        }
        self._ask_at_s = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._ask()
        self._progress.stop()

    def update(self, *, acquired: int) -> None:
        """Show the present state."""
        self._progress.update(self._rows["acquired"], completed=acquired)
        if time.monotonic() >= self._ask_at_s:
            began = time.monotonic()
            self._ask()
            now = time.monotonic()
            self._ask_at_s = now + max(0.25, (now - began) / _ASKING_SHARE)

    def _ask(self) -> None:
        passed = Counter(self._passed_stages())
        for stage, row in self._rows.items():
            if stage != "acquired":
                self._progress.update(row, completed=passed[stage])

    def _passed_stages(self) -> Iterable[str]:
        for job in self._client.jobs(stream_id=self._stream_id):
            for task in job.task_list():
                if TaskState(task.task_state).succeeded:
                    yield task.task_key

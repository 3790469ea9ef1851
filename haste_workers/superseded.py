"""Clearing away what `preprocess` wrote, once the server has recorded another place for the object.

See docs/decisions/0056-what-a-recorded-result-has-superseded.md.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from haste_core.errors import HasteError
from haste_core.routing import OutsideRootsError, Roots
from haste_core.states import TaskState
from haste_runtime.removal import remove_unused
from haste_workers.job_questions import AskJob, JobAtServer, job_asker
from haste_workers.naming import object_name
from haste_workers.settings import WorkerSettings
from haste_workers.sources import readable_roots

_log = structlog.get_logger(__name__)

GRACE_S = 3600.0
"""How old a file is at least before it is removed, so that a task can be run again by hand soon after."""

_SWEEP_EVERY_S = 600.0
_FIRST_SWEEP_S = 30.0  # the server that starts this worker has to start itself
_PAUSE_S = 0.02  # between two questions: a server has better things to do
_FOLDER = "preprocessed"
_JOB_FOLDER = "job-"


def intermediate_folder(work_dir: Path, *, stream_id: str, job_id: int) -> Path:
    """Name the folder for what a job's tasks write on the way; nothing else lies in it."""
    return work_dir / _FOLDER / object_name(stream_id) / f"{_JOB_FOLDER}{job_id}"


@dataclass
class IntermediateFiles:
    """The intermediate files of all jobs that worked in a folder.

    Attributes
    ----------
    work_dir : Path
    roots : Roots
        The folders that URLs may name here.
    ask : callable
    aside : Path
        A folder for temporary files on the same file system.
    """

    work_dir: Path
    roots: Roots
    ask: AskJob
    aside: Path
    clock: Callable[[], float] = time.time
    pause: Callable[[float], object] = time.sleep
    _ask_again_at: dict[Path, float] = field(default_factory=dict)

    def remove_superseded(self) -> int:
        """Remove the files of done jobs whose object is elsewhere now, and tell how many.

        Raises
        ------
        HasteError
            If the server cannot be asked.
        """
        return sum(self._clear(folder) for folder in self._folders_to_ask_about())

    def _folders_to_ask_about(self) -> list[Path]:
        now = self.clock()
        folders = [path for path in (self.work_dir / _FOLDER).glob(f"*/{_JOB_FOLDER}*") if path.is_dir()]
        self._ask_again_at = {
            path: self._ask_again_at[path] for path in folders if path in self._ask_again_at
        }
        return [path for path in folders if self._ask_again_at.get(path, 0) <= now and self._is_old(path)]

    def _is_old(self, folder: Path) -> bool:
        return folder.stat().st_mtime < self.clock() - GRACE_S

    def _clear(self, folder: Path) -> int:
        number = folder.name.removeprefix(_JOB_FOLDER)
        if not number.isdecimal():
            return 0
        self.pause(_PAUSE_S)
        age_s = self.clock() - folder.stat().st_mtime
        job = self.ask(int(number))
        # Another server's job may have the same number, but hardly the same stream.
        is_of_job = job is not None and folder.parent.name == str(object_name(job.stream_id))
        removed = self._remove(folder, job) if job is not None and is_of_job else 0
        if folder.exists():
            # What stays, stays for long more often than not: asked again when it is twice as old.
            self._ask_again_at[folder] = self.clock() + age_s
        return removed

    def _remove(self, folder: Path, job: JobAtServer) -> int:
        if job.state != TaskState.DONE:
            return 0  # its tasks may still read them
        old = self.clock() - GRACE_S
        needed = {self._file_of(job.place_url), self._file_of(job.source_url)}
        removed = 0
        for file in folder.iterdir():
            if file not in needed:
                removed += remove_unused(file, since=old, aside=self.aside / secrets.token_hex(8))
        with contextlib.suppress(OSError):  # not empty, or another worker was quicker
            folder.rmdir()
        return removed

    def _file_of(self, url: str) -> Path | None:
        try:
            return Path(self.roots.path_of(url))
        except OutsideRootsError:  # in the landing area, for example
            return None


@contextmanager
def superseded_files_removed(settings: WorkerSettings, *, aside: Path) -> Iterator[None]:
    """Have superseded files removed now and then, by a thread, as long as the block runs.

    A worker that knows no server removes nothing.

    Parameters
    ----------
    settings : WorkerSettings
    aside : Path
        A folder for temporary files, in the same file system as the worker's `work_dir`.
    """
    if settings.server_url is None:
        yield
        return
    stopping = threading.Event()
    thread = threading.Thread(
        target=_sweep, args=(settings, aside, stopping), name="superseded-files", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()


def _sweep(settings: WorkerSettings, aside: Path, stopping: threading.Event) -> None:
    if stopping.wait(_FIRST_SWEEP_S):
        return
    with job_asker(settings) as ask:
        files = IntermediateFiles(
            settings.work_dir,
            roots=readable_roots(settings),
            ask=ask,
            aside=aside,
            pause=stopping.wait,
        )
        while not stopping.is_set():
            _sweep_once(files)
            stopping.wait(_SWEEP_EVERY_S)


def _sweep_once(files: IntermediateFiles) -> None:
    try:
        removed = files.remove_superseded()
    except (HasteError, OSError) as error:
        _log.warning("superseded files stay for now", action="superseded-kept", trouble=str(error))
        return
    if removed:
        _log.info("superseded files removed", action="superseded-removed", files=removed)

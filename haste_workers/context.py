"""What a handler is given besides its job: the source as a local file, folders, parameters, progress."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue

from haste_core.errors import BadInputError, PermanentError, SourceMissingError
from haste_core.messages import DecisionNote, Place, TaskMessage
from haste_core.routing import Roots
from haste_runtime.tiers import S3Tier, SwiftTier
from haste_workers.durable import sha256_of, version_of
from haste_workers.fetching import Access, fetch, is_remote
from haste_workers.naming import object_name
from haste_workers.settings import WORK_ROOT, WorkerSettings
from haste_workers.sources import local_path, named_roots, readable_roots
from haste_workers.superseded import intermediate_folder
from haste_workers.tiers.by_name import name_of_tier, open_tier
from haste_workers.tiers.storage import TierStorage

_PROGRESS_EVERY_S = 0.2
_MADE_BY = {f"root://{WORK_ROOT}/preprocessed/": "preprocess", "root://landing/": "upload"}

ProgressListener = Callable[[float | None, str], None]


class TaskContext:
    """The surroundings of one attempt of one task.

    Parameters
    ----------
    message : TaskMessage
    settings : WorkerSettings
    scratch : Path
        The folder that becomes `temp_dir`; whoever runs the handler removes it afterwards.
    on_progress : callable
        Is told fraction and note, at most every 0.2 s.
    """

    def __init__(
        self, message: TaskMessage, *, settings: WorkerSettings, scratch: Path, on_progress: ProgressListener
    ) -> None:
        self.message = message
        self.settings = settings
        self._scratch = scratch
        self._on_progress = on_progress
        self._progress_told_at = 0.0
        self.found_source: Path | None = None
        self.found_version: tuple[int, int] | None = None  # size and time of change, as the handler found it

    @property
    def parameters(self) -> Mapping[str, JsonValue]:
        """The handler's parameters, from the stream's pipeline."""
        return self.message.parameters

    @property
    def decision(self) -> DecisionNote | None:
        """What was decided about the object; only `tier` tasks have it."""
        return self.message.decision

    @property
    def stream_id(self) -> str:
        """The acquisition that the object belongs to."""
        return str(self.message.job["stream_id"])

    @property
    def source_id(self) -> str:
        """The object's name in its stream."""
        return str(self.message.job["source_id"])

    @cached_property
    def roots(self) -> Roots:
        """The folders that may be read here."""
        return readable_roots(self.settings)

    def source_path(self) -> Path:
        """Find the object as a local file (or folder, for containers), where it is now.

        Sources on the web and in S3 buckets are downloaded to `temp_dir` first. Links are resolved.

        Raises
        ------
        SourceDeniedError
            403: it lies outside the folders, hosts and buckets that may be read here.
        SourceMissingError
            404: it is not there.
        BadInputError
            502: it is larger than `download_limit_bytes`.
        TransientError
            503: the share is not mounted, the server is in trouble, or the connection was cut.
        """
        if self.found_source is None:
            url = self.message.place.url
            try:
                self.found_source = self.local_file(url)
                self.found_version = version_of(self.found_source)
            except SourceMissingError as error:
                raise SourceMissingError(f"{error}{_how_to_remake(url)}") from error
        return self.found_source

    def source_file(self) -> Path:
        """Find the object as `source_path` does, and refuse folders.

        Raises
        ------
        BadInputError
            502: it is a folder.
        """
        path = self.source_path()
        if path.is_dir():
            raise BadInputError(
                f"{path} is a folder; this task works on single files (a folder of OME-Zarr can be scored, "
                "uploaded and put to tiers, but not made smaller)"
            )
        return path

    def sidecar_path(self, source_url: str) -> Path:
        """Find a sidecar of the job spec as a local file, where it is now, as `source_path` finds the object.

        Raises
        ------
        SourceDeniedError, SourceMissingError, BadInputError, TransientError
            As `source_path` does; 502 also if it is a folder.
        """
        folder = self.temp_dir / hashlib.sha256(source_url.encode()).hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        path = self.local_file(self.message.place.url_of_sidecar(source_url), folder)
        if path.is_dir():
            raise BadInputError(f"{path} is a folder")
        return path

    def local_file(self, url: str, folder: Path | None = None) -> Path:
        """Find any file that may be read here as a local one, downloaded to `folder`; see `source_path`."""
        access = Access(
            roots=self.roots,
            hosts=self.settings.http_hosts,
            buckets=self.settings.s3_buckets,
            tiers=[tier for tier in self.settings.tiers.values() if isinstance(tier, S3Tier | SwiftTier)],
            limit_bytes=self.settings.download_limit_bytes,
        )
        return (
            fetch(url, folder or self.temp_dir, access) if is_remote(url) else local_path(url, access.roots)
        )

    @cached_property
    def temp_dir(self) -> Path:
        """An empty folder that is removed after the task, however it ends."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    @cached_property
    def output_dir(self) -> Path:
        """A folder for what shall stay: one for each job and task key, below the worker's `work_dir`.

        A second attempt finds what the first has left there.
        """
        folder = (
            self.settings.work_dir
            / "output"
            / object_name(self.stream_id)
            / object_name(self.source_id)
            / f"{self.message.task_key}-{self.message.job_id}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def intermediate_dir(self) -> Path:
        """Where a file may be written that is the object's place for a while; see `superseded`.

        One folder for each job. What is in it is removed some time after the job is done with another place.
        """
        return intermediate_folder(
            self.settings.work_dir, stream_id=self.stream_id, job_id=self.message.job_id
        )

    def place_of(self, path: Path) -> Place:
        """Describe a file as a new place of the object, with its hash and size.

        Later tasks read the object there if the handler answers it.
        """
        url = named_roots(self.settings).url_of(path.absolute())
        return Place(url=url, site=self.settings.site, sha256=sha256_of(path), size_bytes=path.stat().st_size)

    def tier(self, name: str) -> TierStorage:
        """Open a tier of this worker's settings.

        Raises
        ------
        UnknownTierError
        """
        return open_tier(name, self.settings.tiers, work_dir=self.settings.work_dir)

    def tier_name_of(self, url: str) -> str | None:
        """Name the tier of this worker's settings in which something lies; None: in none of them."""
        return name_of_tier(url, self.settings.tiers, work_dir=self.settings.work_dir)

    def progress(self, fraction: float | None, note: str = "") -> None:
        """Tell how far the task is; shown on the page and by the API.

        Parameters
        ----------
        fraction : float or None
            In [0, 1]; None if it is not known.
        note : str
            What is being done.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise PermanentError(f"progress({fraction}) should be a fraction in [0, 1]")
        now = time.monotonic()
        if now - self._progress_told_at >= _PROGRESS_EVERY_S:
            self._progress_told_at = now
            self._on_progress(None if fraction is None else float(fraction), str(note)[:200])


def _how_to_remake(url: str) -> str:
    """Say what to do about an intermediate file that was cleared away after the job was done."""
    makers = [task_key for start, task_key in _MADE_BY.items() if url.startswith(start)]
    if not makers:
        return ""
    return (
        f"; if the job was done before, it was removed as superseded: forceretry {makers[0]!r} to remake it"
    )

"""Task ``upload``: sends the object to the server, or to another one, which makes it a job of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pydantic import model_validator

from haste_core.errors import PermanentError, TransientError
from haste_core.fields import StreamName
from haste_core.messages import Place, TaskMessage
from haste_core.uploads import ChecksumMismatchError
from haste_runtime.tus import Sent
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.destination import Destination
from haste_workers.durable import CONTAINER_SUFFIX, sha256_of, size_of
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.naming import object_name
from haste_workers.sending import Sender, wait_for
from haste_workers.sidecars import SidecarsPut, notes_of, send_sidecars

_joined: set[tuple[str, str, str]] = set()
"""Streams that this process has joined: by server, name and tag."""


class UploadParameters(HandlerParameters):
    """What a pipeline may choose.

    Attributes
    ----------
    job : bool
        Whether the server makes the object a job of its own.
    stream_id : str, optional
        The server's stream; None: the one of the same name.
    tag : str, optional
        Says by which of its pipelines the server makes the stream, if it is not there (its ``agent_tags``).
    """

    job: bool = False
    stream_id: StreamName | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _all_for_jobs(self) -> Self:
        if not self.job and (self.stream_id is not None or self.tag is not None):
            raise ValueError("stream_id and tag are for jobs: say job: true")
        return self


def upload(_job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Stream the object to the server, which checks its SHA-256 and answers with its new place.

    Its sidecars go before it, so that they are there when it is.

    What the server has is not sent again: neither the same object, nor the beginning of one whose upload
    broke off, in this attempt or in an earlier one.

    Raises
    ------
    TransientError
        If the server cannot be reached, or is in trouble, or the file changes while it is sent; the task is
        tried again.
    PermanentError
        If the server refuses the object.
    """
    parameters = UploadParameters.of(context)
    destination = _destination(context)
    path = _object(context)
    errand = _Errand(path, parameters, destination, context)
    sha256 = task.place.sha256 or sha256_of(path)
    try:
        sent = errand.run(sha256)
    except ChecksumMismatchError as error:
        if task.place.sha256 is not None:
            raise PermanentError(str(error)) from error
        sha256, sent = _send_as_it_is_now(errand, sha256, refused=error)
    return _answer(sent, sha256, errand)


class _Errand:
    """One file, what is said about it, and whom it goes to."""

    def __init__(
        self, path: Path, parameters: UploadParameters, destination: Destination, context: TaskContext
    ) -> None:
        self.path = path
        self.parameters = parameters
        self.destination = destination
        self.context = context
        pace_file = context.settings.work_dir / "upload.pace"
        self._sender = Sender(destination, self._told, pace_file=pace_file)
        self._beside = Sender(destination, lambda _sent, _of: None, pace_file=pace_file)
        self.sidecars = SidecarsPut()

    def run(self, sha256: str) -> Sent:
        """Send the file, and wait for the server as long as it is to be waited for."""

        def note(what: str) -> None:
            self.context.progress(None, what)

        return wait_for(lambda: self._run(sha256), patience_s=self.destination.patience_s, note=note)

    @property
    def stream_id(self) -> str:
        """The stream at the server."""
        return self.parameters.stream_id or self.context.stream_id

    def origin(self, sha256: str) -> dict[str, Any]:
        """Tell what the file was made from, and how, if it is no more as the microscope wrote it."""
        job, place = self.context.message.job, self.context.message.place
        if place.url == job["source_url"]:
            return {"original_sha256": sha256, "original_bytes": size_of(self.path)}
        made = job["response"].get("preprocess", {})
        return {
            "original_sha256": made.get("source_sha256"),
            "original_bytes": made.get("bytes_before"),
            "operator": made.get("operator"),
            "parameters": made.get("parameters"),
            "lossless": made.get("lossless"),
            "codec": made.get("codec"),
        }

    def _run(self, sha256: str) -> Sent:
        if self.parameters.job:
            self._join()
        job = self.context.message.job
        self.sidecars = send_sidecars(job, self.context, self._beside, stream_id=self.stream_id)
        return self._sender.send(self.path, self._said(sha256))

    def _join(self) -> None:
        tag = self.parameters.tag
        key = (self.destination.url, self.stream_id, tag or "")
        if tag is not None and key not in _joined:
            self._sender.join(self.stream_id, tag)
            _joined.add(key)

    def _said(self, sha256: str) -> dict[str, Any]:
        context = self.context
        packed = "tar" if self.path.is_dir() else None
        if not self.parameters.job:
            name = object_name(context.source_id, suffix=self.path.suffix).as_posix()
            said = {"stream_id": context.stream_id, "filename": name, "sha256": sha256, "job": "no"}
            return {**said, "packed": packed}
        job = context.message.job
        original = str(context.roots.path_of(job["source_url"]))
        edge = {"tag": self.parameters.tag, "original_path": original, **self.origin(sha256)}
        return {
            "stream_id": self.stream_id,
            "source_id": context.source_id,
            "filename": _name(context.source_id, self.path),
            "sha256": sha256,
            "index": job.get("index"),
            "timestamp": job.get("timestamp"),
            "location": ",".join(map(repr, job.get("location") or ())) or None,
            "substream_id": job.get("substream_id"),
            "metadata": {**(job.get("metadata") or {}), "edge": edge},
            "packed": packed,
            "sidecars": notes_of(self.sidecars.put) or None,
        }

    def _told(self, sent_bytes: int, size_bytes: int) -> None:
        self.context.progress(min(1.0, sent_bytes / max(1, size_bytes)), "sending")


def _object(context: TaskContext) -> Path:
    path = context.source_path()
    return path if path.name.lower().endswith(CONTAINER_SUFFIX) else context.source_file()


def _destination(context: TaskContext) -> Destination:
    settings = context.settings
    if settings.destination is not None:
        return settings.destination
    if settings.server_url is None:
        raise PermanentError("upload needs the server to send to: start the worker with --server-url")
    # Its own server is asked again by the task's next attempt, and other workers may have more luck.
    return Destination(url=settings.server_url, token=settings.token, patience_s=0)


def _name(source_id: str, path: Path) -> str:
    """Name a file as the microscope did, but for a suffix that tells what it is now."""
    name = PurePosixPath(source_id)
    return name.name if name.suffix.lower() == path.suffix.lower() else name.with_suffix(path.suffix).name


def _send_as_it_is_now(
    errand: _Errand, announced: str, *, refused: ChecksumMismatchError
) -> tuple[str, Sent]:
    """Send again a file that was written to between hashing and sending; return its hash and place."""
    path = errand.path
    sha256 = sha256_of(path)
    if sha256 == announced:
        raise PermanentError(str(refused)) from refused
    try:
        return sha256, errand.run(sha256)
    except ChecksumMismatchError as error:
        if sha256_of(path) != sha256:
            raise TransientError(f"{path} is still being written; it is sent again later") from error
        raise PermanentError(str(error)) from error


def _answer(sent: Sent, sha256: str, errand: _Errand) -> Answer:
    server, size_bytes = errand.destination.url, size_of(errand.path)
    place = sent.place
    if place is None:  # it has been there before, and its object is elsewhere by now: the job tells where
        site = errand.context.settings.site
        place = Place(
            url=f"{server}/HASTE/job/{sent.job_id}", site=site, sha256=sha256, size_bytes=size_bytes
        )
    if place.sha256 not in (None, sha256):
        raise TransientError(f"{server}: the server has stored something else than what was sent")
    response: dict[str, Any] = {
        "url": place.url,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "duration_s": round(sent.duration_s, 4),
        **errand.sidecars.told(),
    }
    if errand.parameters.job:
        if sent.job_id is None:
            raise TransientError(f"{server}: the server has stored the file, but made no job of it")
        response |= {"server": server, "stream_id": errand.stream_id, "job_id": sent.job_id}
        response |= errand.origin(sha256)
    beside = errand.sidecars.put
    if beside:
        response["sidecars"] = [sidecar.url for sidecar in beside]
    place = place.model_copy(update={"sidecars": beside or None, "size_bytes": size_bytes})
    return Answer(response, place, errand.sidecars.message)

"""Sidecars: the files that belong to an object, and go where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from haste_core.errors import (
    BadInputError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_core.messages import Sidecar
from haste_core.uploads import ChecksumMismatchError
from haste_workers.context import TaskContext
from haste_workers.durable import sha256_of
from haste_workers.naming import path_beside, sidecar_name
from haste_workers.sending import RefusedError, Sender
from haste_workers.sources import LANDING_ROOT
from haste_workers.tiers.storage import StoredObject, TierStorage


@dataclass(frozen=True)
class SidecarsPut:
    """What became of an object's sidecars.

    Attributes
    ----------
    put : tuple of Sidecar
    left : tuple of Sidecar
        Where those were that belong to the object alone, with the hashes of the copies.
    missing : dict of str
        Why the others could not be read, by their URLs in the job spec.
    """

    put: tuple[Sidecar, ...] = ()
    left: tuple[Sidecar, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return what a task's response says of those that are missing."""
        return {"sidecars_missing": self.missing} if self.missing else {}

    @property
    def message(self) -> str:
        """Say in a sentence what is missing; empty if nothing is."""
        if not self.missing:
            return ""
        return f"the object is there, but without its sidecars: {'; '.join(self.missing.values())}"


def put_sidecars(
    job: Mapping[str, Any], context: TaskContext, storage: TierStorage, stored: StoredObject
) -> SidecarsPut:
    """Put a job's sidecars beside its object; one that cannot be read does not hold the object back.

    Raises
    ------
    TransientError, PermanentError
        As of `TierStorage.put`; transient also if a sidecar cannot be reached for now.
    """
    put, left, missing = [], [], {}
    for source_url in job.get("sidecars", ()):
        name = name_beside(job, stored.name, source_url)
        try:
            path = context.sidecar_path(source_url)
            copy = storage.put_beside(path, name) if name else _put_by_place(path, source_url, job, storage)
        except (SourceMissingError, SourceDeniedError, BadInputError) as error:
            missing[source_url] = str(error)
            continue
        sidecar = Sidecar(source_url=source_url, url=copy.url, sha256=copy.sha256, size_bytes=copy.size_bytes)
        put.append(sidecar)
        was_at = context.message.place.url_of_sidecar(source_url)
        if name is not None and was_at != copy.url:
            left.append(sidecar.model_copy(update={"url": was_at}))
    return SidecarsPut(tuple(put), tuple(left), missing)


def send_sidecars(
    job: Mapping[str, Any], context: TaskContext, sender: Sender, *, stream_id: str
) -> SidecarsPut:
    """Send a job's sidecars to a server, which keeps their names.

    One that cannot be read, or that the server does not take, does not hold the object back.

    Parameters
    ----------
    job : mapping
    context : TaskContext
    sender : Sender
    stream_id : str
        The server's stream.

    Raises
    ------
    TransientError
        If the server, or a sidecar, cannot be reached for now, or a sidecar changes while it is sent.
    RefusedError
        If the server lets nobody in.
    """
    put, missing = [], {}
    for source_url in job.get("sidecars", ()):
        name = _last_part(source_url)
        try:
            path = context.sidecar_path(source_url)
            sha256 = sha256_of(path)
            said = {"stream_id": stream_id, "filename": name, "sha256": sha256, "sidecar": "yes"}
            sent = sender.send(path, said)
        except RefusedError:
            raise
        except ChecksumMismatchError as error:
            raise TransientError(f"{name} changed while it was sent; it is sent again later") from error
        except PermanentError as error:
            missing[source_url] = f"{name}: {error}"
            continue
        if sent.place is None or sent.place.sha256 != sha256:
            raise TransientError(f"the server does not confirm the SHA-256 of {name}")
        size_bytes = sent.place.size_bytes or 0
        put.append(Sidecar(source_url=source_url, url=sent.place.url, sha256=sha256, size_bytes=size_bytes))
    return SidecarsPut(put=tuple(put), missing=missing)


def notes_of(sidecars: Iterable[Sidecar]) -> list[dict[str, str]]:
    """Say of an object that is sent which files, sent before, belong to it; of two of one name, the first."""
    named: dict[str, dict[str, str]] = {}
    for sidecar in sidecars:
        name = _last_part(sidecar.source_url)
        named.setdefault(name, {"name": name, "sha256": sidecar.sha256})
    return list(named.values())


def name_beside(job: Mapping[str, Any], stored: PurePosixPath, sidecar_url: str) -> PurePosixPath | None:
    """Name a sidecar in a tier as `sidecar_name` does, by what the object was called where it came from.

    What was uploaded has a hash for its name, so that there the object's name in its stream counts.
    """
    is_uploaded = job["source_url"].startswith(f"root://{LANDING_ROOT}/")
    source = job["source_id"].rpartition("/")[2] if is_uploaded else _last_part(job["source_url"])
    return sidecar_name(stored, source=source, sidecar=_last_part(sidecar_url))


def _put_by_place(path: Path, source_url: str, job: Mapping[str, Any], storage: TierStorage) -> StoredObject:
    beside = path_beside(job["source_id"], source_url=job["source_url"], sidecar_url=source_url)
    return storage.put(path, stream_id=job["stream_id"], source_id=beside)


def _last_part(url: str) -> str:
    return unquote(url).rpartition("/")[2]

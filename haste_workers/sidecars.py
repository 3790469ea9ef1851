"""Sidecars: the files that belong to an object, and go where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from haste_core.errors import BadInputError, SourceDeniedError, SourceMissingError
from haste_core.messages import Sidecar
from haste_workers.context import TaskContext
from haste_workers.naming import path_beside, sidecar_name
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
        name = sidecar_name(stored.name, source=_last_part(job["source_url"]), sidecar=_last_part(source_url))
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


def _put_by_place(path: Path, source_url: str, job: Mapping[str, Any], storage: TierStorage) -> StoredObject:
    beside = path_beside(job["source_id"], source_url=job["source_url"], sidecar_url=source_url)
    return storage.put(path, stream_id=job["stream_id"], source_id=beside)


def _last_part(url: str) -> str:
    return unquote(url).rpartition("/")[2]

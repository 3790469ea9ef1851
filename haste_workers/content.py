"""What object a decision will be made about: size and hash of the file from which its features came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Place
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import has_new_content, sha256_of, size_of, version_of
from haste_workers.fetching import is_remote
from haste_workers.imaging.formats.ome_zarr import is_zarr_folder


def with_content(answer: Answer, context: TaskContext) -> Answer:
    """Add ``size_bytes`` and ``sha256`` to an answer from which a decision is made, if they are not in it.

    Without them, budgets and quotas would count the object as nothing, and `tier` could not tell whether it
    is the one that was scored. Places that are known are believed. Else the file is hashed, if the handler
    has asked for it: it was just read, so that this takes a processor, not the disk.

    Raises
    ------
    BadInputError
        If the file has changed while the handler ran, or is a container with links to elsewhere.
    """
    told = _content(answer.place or context.message.place, context, set(answer.response))
    added = {name: value for name, value in told.items() if name not in answer.response and value is not None}
    if not added:
        return answer
    return Answer({**answer.response, **added}, answer.place, answer.message, answer.leaving)


def _content(place: Place, context: TaskContext, told: set[str]) -> Mapping[str, Any]:
    known = {"size_bytes": place.size_bytes, "sha256": place.sha256}
    if all(name in told or value is not None for name, value in known.items()):
        return known
    if place.url != context.message.place.url:
        return known  # the handler has put it elsewhere, and not said what it is
    path = context.found_source
    if path is None:  # it was not read, and is not worth a download
        return known | {"size_bytes": known["size_bytes"] or _size_of_unread(context)}
    if path.is_dir() and not is_zarr_folder(path):
        return known
    sha256 = known["sha256"]
    if sha256 is None and "sha256" not in told:
        sha256 = sha256_of(path)
    if context.found_version not in (None, version_of(path)):
        raise has_new_content(path, since="this task began to read it")
    return {"size_bytes": size_of(path), "sha256": sha256}


def _size_of_unread(context: TaskContext) -> int | None:
    try:
        path = None if is_remote(context.message.place.url) else context.source_path()
        return None if path is None or path.is_dir() else path.stat().st_size
    except (OSError, PermanentError, TransientError):
        return None  # nobody has asked for it; who reads it next will say what is wrong

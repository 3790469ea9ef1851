"""Counting what has been uploaded as long as it is there, whoever removes it.

See docs/decisions/0137-what-counts-against-an-upload-quota.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from haste_core.errors import TransientError
from haste_core.upload_quotas import HeldUpload, HeldUploadStore
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.upload_records import RECORD_SUFFIX

log = structlog.get_logger(__name__)

_PAGE = 1000


def release(store: HeldUploadStore, upload_id: str) -> None:
    """Count an upload that has come to nothing no more; if that cannot be stored now, it is found later."""
    try:
        store.release(upload_id)
    except TransientError as error:
        log.warning("an upload still counts", action="upload_unreleased", upload=upload_id, why=str(error))


def release_removed(store: HeldUploadStore, landing: FolderLandingArea) -> None:
    """Count what is not there any more no more: tiers, sweeps and people remove files."""
    for items in _pages(store):
        gone = [item for item in items if not _is_there(item, landing)]
        if not landing.uploads_folder.is_dir():
            return  # the folder is away, and not what was in it
        for item in gone:
            store.release(item.key, unless_after=item.held_at)


def _pages(store: HeldUploadStore) -> Iterator[list[HeldUpload]]:
    cursor: str | None = None
    while True:
        page = store.held(cursor=cursor, limit=_PAGE)
        yield page.items
        cursor = page.next
        if cursor is None:
            return


def _is_there(item: HeldUpload, landing: FolderLandingArea) -> bool:
    path: Path = (
        landing.uploads_folder / f"{item.key}{RECORD_SUFFIX}"
        if item.url is None
        else landing.path_of(item.url)
    )
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True

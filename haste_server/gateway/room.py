"""What there is room for: of one file, of the disk, and of the quota of a token.

See docs/decisions/0137-what-counts-against-an-upload-quota.md.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from haste_core.errors import TransientError
from haste_core.ports import Clock
from haste_core.upload_quotas import HeldUpload, HeldUploadStore, UploadQuota
from haste_core.uploads import UploadTooLargeError
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.upload_records import RECORD_SUFFIX

log = structlog.get_logger(__name__)

_PAGE = 1000


@dataclass(frozen=True)
class UploadRoom:
    """How much may be uploaded; what a token has uploaded counts as long as it is there, whoever removes it.

    Attributes
    ----------
    landing : FolderLandingArea
    held : HeldUploadStore
        Counts what the uploads of tokens with a quota hold.
    max_bytes : int
        The largest file.
    leaves_free_bytes : int
        What stays free of the disk, whatever is uploaded.
    """

    landing: FolderLandingArea
    held: HeldUploadStore
    max_bytes: int
    leaves_free_bytes: int = 0
    clock: Clock = time.time

    def check_size(self, length: int, quota: UploadQuota | None) -> None:
        """Refuse what would find no room if there were nothing else.

        Raises
        ------
        UploadTooLargeError
        """
        if length > self.max_bytes:
            raise UploadTooLargeError(
                f"the file has {length:,} bytes; this server takes at most {self.max_bytes:,} "
                "(max_upload_bytes)"
            )
        if quota is not None and length > quota.limit_bytes:
            raise UploadTooLargeError(
                f"the file has {length:,} bytes, and all uploads of the token {quota.token_name!r} together "
                f"may hold {quota.limit_bytes:,}: ask whoever runs the server for a token with a higher "
                "upload quota"
            )

    def check_disk(self, size_bytes: int) -> None:
        """Refuse what the disk has no room for now.

        Raises
        ------
        OSError
        """
        # Nothing is reserved for the uploads that are under way, so that each is told again while it comes.
        folder = self.landing.uploads_folder
        if size_bytes and shutil.disk_usage(folder).free < size_bytes + self.leaves_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    def count(self, upload_id: str, size_bytes: int, quota: UploadQuota | None) -> int | None:
        """Count an upload against a quota, from now on with this size; return whose token it is, if any.

        Raises
        ------
        UploadQuotaError
            If the quota leaves no room for it now.
        """
        if quota is None:
            return None
        self.held.hold(quota, upload_id, size_bytes, now=self.clock())
        return quota.token_id

    def count_landed(self, upload_id: str, url: str) -> None:
        """Count an upload by the file that it has become."""
        self.held.land(upload_id, url, now=self.clock())

    def release(self, upload_id: str) -> None:
        """Count an upload that has come to nothing no more; one that still counts is found later."""
        try:
            self.held.release(upload_id)
        except TransientError as error:
            told = {"upload": upload_id, "why": str(error)}
            log.warning("an upload still counts", action="upload_unreleased", **told)

    def release_removed(self) -> None:
        """Count what is not there any more no more: tiers, sweeps and people remove files."""
        for items in self._pages():
            gone = [item for item in items if not self._is_there(item)]
            if not self.landing.uploads_folder.is_dir():
                return  # the folder is away, and not what was in it
            for item in gone:
                self.held.release(item.key, unless_after=item.held_at)

    def _pages(self) -> Iterator[list[HeldUpload]]:
        cursor: str | None = None
        while True:
            page = self.held.held(cursor=cursor, limit=_PAGE)
            yield page.items
            cursor = page.next
            if cursor is None:
                return

    def _is_there(self, item: HeldUpload) -> bool:
        path: Path = (
            self.landing.uploads_folder / f"{item.key}{RECORD_SUFFIX}"
            if item.url is None
            else self.landing.path_of(item.url)
        )
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

"""The files of uploads that are under way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haste_core.errors import NotFoundError
from haste_core.uploads import Upload
from haste_runtime.removal import discard
from haste_server.gateway.upload_records import RECORD_SUFFIX, UNKNOWN, upload_of

_ID = re.compile(r"[0-9a-f]{32}")
_PART, _UNPACKED = ".part", ".unpacked"


@dataclass(frozen=True)
class UploadFiles:
    """Where the bytes of an upload are, what they are unpacked to, and the record of what is known.

    Attributes
    ----------
    folder : Path
    keep_s : float
        How long an upload may be silent.
    """

    folder: Path
    keep_s: float

    def record(self, upload_id: str) -> Path:
        """Name the file of what is known."""
        return self.folder / f"{upload_id}{RECORD_SUFFIX}"

    def checked_record(self, upload_id: str) -> Path:
        """Name the file of what is known of an upload that a stranger asks for.

        Raises
        ------
        NotFoundError
            If there can be no such upload.
        """
        if not _ID.fullmatch(upload_id):
            raise NotFoundError(UNKNOWN)
        return self.record(upload_id)

    def part(self, upload_id: str) -> Path:
        """Name the file of the bytes that have arrived."""
        return self.folder / f"{upload_id}{_PART}"

    def unpacked(self, upload_id: str) -> Path:
        """Name the folder of what was packed."""
        return self.folder / f"{upload_id}{_UNPACKED}"

    def upload(self, upload_id: str, known: Mapping[str, Any]) -> Upload:
        """Tell how an upload stands by what is known of it."""
        return upload_of(upload_id, known, self.part(upload_id), keep_s=self.keep_s)

    def records(self) -> Iterator[Path]:
        """List the files of what is known."""
        return self.folder.glob(f"*{RECORD_SUFFIX}")

    def parts(self) -> Iterator[Path]:
        """List the files of bytes."""
        return self.folder.glob(f"*{_PART}")

    def discard_bytes(self, upload_id: str) -> None:
        """Remove all but the record."""
        self.part(upload_id).unlink(missing_ok=True)
        discard(self.unpacked(upload_id))

"""Uploads that can be gone on with: kept in the landing area until they are whole, then landed."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import structlog

from haste_core.errors import (
    ConflictError,
    HasteError,
    NotFoundError,
    TransientError,
)
from haste_core.ports import Clock
from haste_core.upload_quotas import UploadQuota
from haste_core.uploads import (
    Checksum,
    Upload,
    UploadGoneError,
    UploadHeldError,
    UploadMetadata,
)
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.ending import UploadEnding
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.receiving import receive
from haste_server.gateway.room import UploadRoom
from haste_server.gateway.upload_files import UploadFiles
from haste_server.gateway.upload_records import (
    UploadRecord,
    check_owner,
    locked_record,
    read_record,
    upload_id_of,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FolderUploads:
    """Takes files in pieces; processes and servers that share the folder take turns at each upload.

    An upload is two files: its bytes, and a record of what is known, which is also its lock. So nothing is
    lost with a process: how far an upload is, the size of the file says.

    Attributes
    ----------
    landing : FolderLandingArea
    arrivals : Arrivals
        What makes jobs of finished uploads.
    room : UploadRoom
        What there is room for.
    keep_s : float
        How long an upload may be silent before it is removed.
    """

    landing: FolderLandingArea
    arrivals: Arrivals
    room: UploadRoom
    keep_s: float
    clock: Clock = time.time

    def create(
        self,
        length: int,
        header: str,
        *,
        projects: Sequence[str] | None = None,
        quota: UploadQuota | None = None,
    ) -> Upload:
        """Begin an upload. If the header tells its SHA-256, find it where it was begun before.

        Then it may have an offset: those bytes are not needed. All of them, if the server has the file.

        Parameters
        ----------
        length : int
            In bytes.
        header : str
            ``Upload-Metadata``.
        projects : sequence of str, optional
            Those of its sender; it belongs to the first, and so does a stream that it makes. None: all.
        quota : UploadQuota, optional
            That of its sender's token.

        Raises
        ------
        InvalidError
        UploadTooLargeError
        UploadQuotaError
            If the quota leaves no room for it now.
        UploadHeldError
        OSError
            If there is no space left for it.
        """
        said = UploadMetadata.parse(header)
        self.room.check_size(length, quota)
        self._ending.check_job(said)
        by_content = None if said.sha256 is None else upload_id_of(said, length, projects)
        upload_id = by_content or secrets.token_hex(16)
        with self._made(upload_id) as record:
            if not self._can_go_on(upload_id, record):
                self._ending.drop_bytes(upload_id, record)
                record.begin(length=length, header=header, began_at=self.clock(), projects=projects)
                self._ending.use_what_is_here(record, said)
                self._check_space(upload_id, record)
            self._hold(upload_id, record, quota)
            return self._ending.finish_if_whole(upload_id, record)

    def look(self, upload_id: str, *, projects: Sequence[str] | None = None) -> Upload:
        """Tell how an upload stands. One that is whole is finished first, if that was cut off.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadHeldError
        """
        known = read_record(self._files.checked_record(upload_id))
        check_owner(known, projects)
        upload = self._files.upload(upload_id, known)
        self._refuse_expired(upload)
        if not upload.is_landing:
            return upload
        with self._held(upload_id) as record:
            return self._ending.finish_if_whole(upload_id, record)

    def append(
        self,
        upload_id: str,
        body: IO[bytes],
        *,
        offset: int,
        checksum: Checksum | None = None,
        projects: Sequence[str] | None = None,
    ) -> Upload:
        """Go on with an upload; with its last byte it is finished.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadHeldError
        ConflictError
            If it is not at this offset.
        ChecksumMismatchError
            If the body, or the whole file, is not what its sender says; then the body, or all, is dropped.
        InvalidError
            If the body is longer than what is missing, or its connection broke.
        OSError
            If the disk is full.
        """
        with self._held(upload_id, projects) as record:
            upload = self._files.upload(upload_id, record.known)
            if offset != upload.offset:
                raise ConflictError(f"the upload goes on at byte {upload.offset}, not at {offset}")
            sha256 = None
            if offset < upload.length:
                sha256 = self._receive(body, upload, record, checksum)
            return self._ending.finish_if_whole(upload_id, record, sha256)

    def remove(self, upload_id: str, *, projects: Sequence[str] | None = None) -> None:
        """Forget an upload; a file that has landed, and its job, stay.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadHeldError
        """
        with self._held(upload_id, projects) as record:
            self._ending.drop(upload_id, record)

    def take(
        self,
        body: IO[bytes],
        header: str,
        *,
        length: int | None,
        projects: Sequence[str] | None = None,
        quota: UploadQuota | None = None,
    ) -> Upload:
        """Take a whole file in one go; if it breaks off, nothing stays.

        Parameters
        ----------
        body : binary file
        header : str
            ``Upload-Metadata``.
        length : int, optional
            In bytes; None if the body fails where it breaks off, as one that comes in chunks does.

        Raises
        ------
        InvalidError, UploadTooLargeError, UploadQuotaError, OSError
            As `create` and `append`. Where no length was told, the quota is asked again in the end.
        """
        said = UploadMetadata.parse(header)
        self.room.check_size(length or 1, quota)
        self._ending.check_job(said)
        upload_id = secrets.token_hex(16)
        part = self._files.part(upload_id)
        with self._made(upload_id) as record:
            try:
                self.room.check_disk(1 if length is None else length)
                self.room.count(upload_id, 1 if length is None else length, quota)
                sha256 = receive(
                    body,
                    part,
                    offset=0,
                    limit_bytes=self.room.max_bytes,
                    expected_bytes=length,
                    check_room=self.room.check_disk,
                )
                size_bytes, now = part.stat().st_size, self.clock()
                held_by = self.room.count(upload_id, size_bytes, quota)
                told = {"header": header, "projects": projects, "held_by": held_by}
                record.begin(length=size_bytes, began_at=now, **told)
            except BaseException:
                if quota is not None:
                    self.room.release(upload_id)
                self._ending.drop(upload_id, record)
                raise
            return self._ending.finish_if_whole(upload_id, record, sha256)

    def sweep(self) -> None:
        """Finish what is whole and was cut off, and remove what has expired."""
        for path in self._files.records():
            with contextlib.suppress(NotFoundError, UploadHeldError):
                if not self._can_wait(path):
                    self._sweep_one(path.stem, path)
        for part in self._files.parts():
            with contextlib.suppress(FileNotFoundError):
                forgotten = part.stat().st_mtime + self.keep_s < self.clock()
                if forgotten and not self._files.record(part.stem).exists():
                    part.unlink()

    def _can_wait(self, path: Path) -> bool:
        """Tell whether nothing is to be done about an upload, without keeping its sender out."""
        try:
            upload = self._files.upload(path.stem, read_record(path))
        except NotFoundError:
            return False
        return upload.expires_at >= self.clock() and not upload.is_landing

    def _sweep_one(self, upload_id: str, path: Path) -> None:
        with locked_record(path, make=True) as record:
            upload = self._files.upload(upload_id, record.known) if record.known else None
            if upload is None or self._has_expired(upload):
                self._ending.drop(upload_id, record)
                return
            try:
                self._ending.finish_if_whole(upload_id, record)
            except (HasteError, OSError) as error:  # it is tried again
                log.warning(
                    "upload not finished", action="upload_unfinished", upload=upload_id, why=str(error)
                )
                is_over = not isinstance(error, OSError | TransientError) and upload.expires_at < self.clock()
                if is_over and record.known:
                    self._ending.drop(upload_id, record)

    def _receive(
        self, body: IO[bytes], upload: Upload, record: UploadRecord, checksum: Checksum | None
    ) -> str | None:
        part = self._files.part(upload.upload_id)
        part.touch()
        # A piece that breaks off, or is damaged, leaves bytes that are not as their checksum says.
        os.truncate(part, upload.offset)
        record.note(checked_to=None if checksum is None else upload.offset)
        sha256 = receive(
            body,
            part,
            offset=upload.offset,
            limit_bytes=upload.length - upload.offset,
            checksum=checksum,
            check_room=self.room.check_disk,
        )
        record.note(checked_to=None)
        return sha256

    def _hold(self, upload_id: str, record: UploadRecord, quota: UploadQuota | None) -> None:
        """Count an upload that is to be sent, unless it counts already."""
        known = record.known
        upload = self._files.upload(upload_id, known)
        if upload.place is not None or upload.is_finished or known.get("held_by") is not None:
            return
        try:
            held_by = self.room.count(upload_id, upload.length, quota)
        except HasteError:
            if upload.offset == 0:
                self._ending.drop(upload_id, record)
            raise
        if held_by is not None:
            record.add(held_by=held_by)

    def _check_space(self, upload_id: str, record: UploadRecord) -> None:
        upload = self._files.upload(upload_id, record.known)
        try:
            self.room.check_disk(upload.length - upload.offset)
        except OSError:
            self._ending.drop(upload_id, record)
            raise

    def _can_go_on(self, upload_id: str, record: UploadRecord) -> bool:
        if not record.known:
            return False
        upload = self._files.upload(upload_id, record.known)
        # What became of a finished one may have changed since: it is looked for anew.
        return not upload.is_finished and upload.expires_at >= self.clock()

    @contextlib.contextmanager
    def _held(self, upload_id: str, projects: Sequence[str] | None = None) -> Iterator[UploadRecord]:
        with locked_record(self._files.checked_record(upload_id)) as record:
            check_owner(record.known, projects)
            self._refuse_expired(self._files.upload(upload_id, record.known))
            yield record

    @contextlib.contextmanager
    def _made(self, upload_id: str) -> Iterator[UploadRecord]:
        self._files.folder.mkdir(parents=True, exist_ok=True)
        with locked_record(self._files.record(upload_id), make=True) as record:
            yield record

    def _has_expired(self, upload: Upload) -> bool:
        # What is whole is finished, however long the server was away: its sender may believe it is here.
        return upload.expires_at < self.clock() and not upload.is_landing

    def _refuse_expired(self, upload: Upload) -> None:
        if self._has_expired(upload):
            raise UploadGoneError("the upload has expired: send the file again as a new one")

    @cached_property
    def _files(self) -> UploadFiles:
        return UploadFiles(self.landing.uploads_folder, self.keep_s)

    @cached_property
    def _ending(self) -> UploadEnding:
        return UploadEnding(self._files, self.landing, self.arrivals, self.room, self.clock)

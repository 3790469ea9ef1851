"""Uploads that can be gone on with: kept in the landing area until they are whole, then landed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import structlog

from haste_core.errors import (
    ConflictError,
    HasteError,
    InvalidError,
    NotFoundError,
    TransientError,
)
from haste_core.messages import Place
from haste_core.ports import Clock
from haste_core.upload_quotas import HeldUploadStore, UploadQuota
from haste_core.uploads import (
    Checksum,
    ChecksumMismatchError,
    Upload,
    UploadGoneError,
    UploadHeldError,
    UploadMetadata,
    UploadTooLargeError,
)
from haste_runtime.packing import unpack
from haste_runtime.removal import discard
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.holdings import release, release_removed
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.receiving import flush_to_disk, receive
from haste_server.gateway.upload_records import (
    RECORD_SUFFIX,
    UNKNOWN,
    UploadRecord,
    check_owner,
    locked_record,
    read_record,
    upload_id_of,
    upload_of,
)

log = structlog.get_logger(__name__)

_ID = re.compile(r"[0-9a-f]{32}")
_PART, _UNPACKED = ".part", ".unpacked"


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
    held : HeldUploadStore
        Counts what the uploads of tokens with a quota hold.
    max_bytes : int
        The largest file.
    keep_s : float
        How long an upload may be silent before it is removed.
    leaves_free_bytes : int
        What stays free of the disk, whatever is uploaded.
    """

    landing: FolderLandingArea
    arrivals: Arrivals
    held: HeldUploadStore
    max_bytes: int
    keep_s: float
    leaves_free_bytes: int = 0
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
        self._check_size(length, quota)
        self._check_job(said)
        by_content = None if said.sha256 is None else upload_id_of(said, length, projects)
        upload_id = by_content or secrets.token_hex(16)
        with self._made(upload_id) as record:
            if not self._can_go_on(upload_id, record):
                self._discard_bytes(upload_id)
                self._release(upload_id, record)
                record.begin(length=length, header=header, began_at=self.clock(), projects=projects)
                self._use_what_is_here(record, said)
                self._check_space(upload_id, record)
            self._hold(upload_id, record, quota)
            return self._finished_if_whole(upload_id, record)

    def look(self, upload_id: str, *, projects: Sequence[str] | None = None) -> Upload:
        """Tell how an upload stands. One that is whole is finished first, if that was cut off.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadHeldError
        """
        known = read_record(self._checked(upload_id))
        check_owner(known, projects)
        upload = self._upload(upload_id, known)
        self._refuse_expired(upload)
        if not upload.is_landing:
            return upload
        with self._held(upload_id) as record:
            return self._finished_if_whole(upload_id, record)

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
            upload = self._upload(upload_id, record.known)
            if offset != upload.offset:
                raise ConflictError(f"the upload goes on at byte {upload.offset}, not at {offset}")
            sha256 = None
            if offset < upload.length:
                sha256 = self._receive(body, upload, record, checksum)
            return self._finished_if_whole(upload_id, record, sha256)

    def remove(self, upload_id: str, *, projects: Sequence[str] | None = None) -> None:
        """Forget an upload; a file that has landed, and its job, stay.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadHeldError
        """
        with self._held(upload_id, projects) as record:
            self._drop(upload_id, record)

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
        self._check_size(length or 1, quota)
        self._check_job(said)
        upload_id = secrets.token_hex(16)
        part = self._part(upload_id)
        with self._made(upload_id) as record:
            try:
                self._check_room(1 if length is None else length)
                self._count(upload_id, 1 if length is None else length, quota)
                sha256 = receive(
                    body,
                    part,
                    offset=0,
                    limit_bytes=self.max_bytes,
                    expected_bytes=length,
                    check_room=self._check_room,
                )
                size_bytes, now = part.stat().st_size, self.clock()
                held_by = self._count(upload_id, size_bytes, quota)
                told = {"header": header, "projects": projects, "held_by": held_by}
                record.begin(length=size_bytes, began_at=now, **told)
            except BaseException:
                if quota is not None:
                    release(self.held, upload_id)
                self._drop(upload_id, record)
                raise
            return self._finished_if_whole(upload_id, record, sha256)

    def sweep(self) -> None:
        """Finish what is whole and was cut off, and remove what has expired."""
        for path in self._folder.glob(f"*{RECORD_SUFFIX}"):
            with contextlib.suppress(NotFoundError, UploadHeldError):
                if not self._can_wait(path):
                    self._sweep_one(path.stem, path)
        for part in self._folder.glob(f"*{_PART}"):
            with contextlib.suppress(FileNotFoundError):
                forgotten = part.stat().st_mtime + self.keep_s < self.clock()
                if forgotten and not self._record(part.stem).exists():
                    part.unlink()

    def release_removed(self) -> None:
        """Count what was uploaded and is not here any more no more."""
        release_removed(self.held, self.landing)

    def _can_wait(self, path: Path) -> bool:
        """Tell whether nothing is to be done about an upload, without keeping its sender out."""
        try:
            upload = self._upload(path.stem, read_record(path))
        except NotFoundError:
            return False
        return upload.expires_at >= self.clock() and not upload.is_landing

    def _sweep_one(self, upload_id: str, path: Path) -> None:
        with locked_record(path, make=True) as record:
            upload = self._upload(upload_id, record.known) if record.known else None
            if upload is None or self._has_expired(upload):
                self._drop(upload_id, record)
                return
            try:
                self._finished_if_whole(upload_id, record)
            except (HasteError, OSError) as error:  # it is tried again
                log.warning(
                    "upload not finished", action="upload_unfinished", upload=upload_id, why=str(error)
                )
                is_over = not isinstance(error, OSError | TransientError) and upload.expires_at < self.clock()
                if is_over and record.known:
                    self._drop(upload_id, record)

    def _receive(
        self, body: IO[bytes], upload: Upload, record: UploadRecord, checksum: Checksum | None
    ) -> str | None:
        part = self._part(upload.upload_id)
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
            check_room=self._check_room,
        )
        record.note(checked_to=None)
        return sha256

    def _check_size(self, length: int, quota: UploadQuota | None) -> None:
        """Refuse what would find no room if there were nothing else."""
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

    def _hold(self, upload_id: str, record: UploadRecord, quota: UploadQuota | None) -> None:
        """Count an upload that is to be sent, unless it counts already."""
        known = record.known
        upload = self._upload(upload_id, known)
        if upload.place is not None or upload.is_finished or known.get("held_by") is not None:
            return
        try:
            held_by = self._count(upload_id, upload.length, quota)
        except HasteError:
            if upload.offset == 0:
                self._drop(upload_id, record)
            raise
        if held_by is not None:
            record.add(held_by=held_by)

    def _count(self, upload_id: str, size_bytes: int, quota: UploadQuota | None) -> int | None:
        if quota is None:
            return None
        self.held.hold(quota, upload_id, size_bytes, now=self.clock())
        return quota.token_id

    def _release(self, upload_id: str, record: UploadRecord) -> None:
        """Count an upload no more, if it did; what has landed counts by itself."""
        if record.known.get("held_by") is not None and record.known.get("finished_at") is None:
            release(self.held, upload_id)

    def _check_space(self, upload_id: str, record: UploadRecord) -> None:
        upload = self._upload(upload_id, record.known)
        try:
            self._check_room(upload.length - upload.offset)
        except OSError:
            self._drop(upload_id, record)
            raise

    def _check_room(self, size_bytes: int) -> None:
        # Nothing is reserved for the uploads that are under way, so that each is told again while it comes.
        if size_bytes and shutil.disk_usage(self._folder).free < size_bytes + self.leaves_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))

    def _can_go_on(self, upload_id: str, record: UploadRecord) -> bool:
        if not record.known:
            return False
        upload = self._upload(upload_id, record.known)
        # What became of a finished one may have changed since: it is looked for anew.
        return not upload.is_finished and upload.expires_at >= self.clock()

    def _use_what_is_here(self, record: UploadRecord, said: UploadMetadata) -> None:
        if said.sha256 is None or (said.stream_id is None and record.known.get("projects") is not None):
            return  # what belongs to no stream may be another project's
        place = self.landing.place_for(said, said.sha256, record.known["length"])
        if self.landing.holds(place):
            record.add(place=place.model_dump(exclude_none=True))
        elif said.wants_job:
            job_id = self.arrivals.job_of(said, said.sha256)
            if job_id is not None:  # it was here, and its object is elsewhere by now
                record.add(job_id=job_id, finished_at=self.clock())

    def _finished_if_whole(self, upload_id: str, record: UploadRecord, sha256: str | None = None) -> Upload:
        """Let a whole file land, and submit its job.

        Each step can be done again, so that whoever comes after a crash goes on where it was cut off.
        """
        upload = self._upload(upload_id, record.known)
        if not upload.is_landing:
            return upload
        said = UploadMetadata.parse(upload.header)
        place = upload.place or self._checked_place(upload, record, said, sha256)
        whole = self._unpacked(upload_id) if said.is_packed else self._part(upload_id)
        if whole.exists():
            self.landing.adopt(whole, place)
        elif not self.landing.holds(place):
            self._drop(upload_id, record)
            raise UploadGoneError("the file was taken away before its upload was finished; send it again")
        self._part(upload_id).unlink(missing_ok=True)  # of what was packed
        if record.known.get("held_by") is not None:
            self.held.land(upload_id, place.url, now=self.clock())
        job_id = self._submit(said, place, record.known.get("projects"))
        record.add(job_id=job_id, finished_at=self.clock())
        return self._upload(upload_id, record.known)

    def _check_job(self, said: UploadMetadata) -> None:
        """Refuse early what could make no job in the end, if it is to make one."""
        if said.wants_job:
            self.landing.check_sidecars(said)
            self.arrivals.check(said, site=self.landing.site, sidecars=self.landing.sidecar_urls(said))

    def _submit(self, said: UploadMetadata, place: Place, projects: Sequence[str] | None) -> int | None:
        if not said.wants_job:
            return None
        return self.arrivals.submit(said, place, self.landing.sidecar_urls(said), projects)

    def _checked_place(
        self, upload: Upload, record: UploadRecord, said: UploadMetadata, sha256: str | None
    ) -> Place:
        part = self._part(upload.upload_id)
        part.touch()  # of nothing, nothing may have been sent
        if said.is_packed:
            sha256 = self._unpack(upload, record)
        elif sha256 is None:
            with part.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if said.sha256 not in (None, sha256):
            self._drop(upload.upload_id, record)
            raise ChecksumMismatchError(
                f"the {upload.length:,} bytes that arrived have SHA-256 {sha256}, not {said.sha256}; "
                "send the file again"
            )
        flush_to_disk(part)
        place = self.landing.place_for(said, sha256, upload.length)
        record.add(place=place.model_dump(exclude_none=True))
        return place

    def _unpack(self, upload: Upload, record: UploadRecord) -> str:
        self._check_room(upload.length)
        try:
            return unpack(self._part(upload.upload_id), self._unpacked(upload.upload_id))
        except InvalidError:  # it will not be another
            self._drop(upload.upload_id, record)
            raise

    def _upload(self, upload_id: str, known: Mapping[str, Any]) -> Upload:
        return upload_of(upload_id, known, self._part(upload_id), keep_s=self.keep_s)

    @contextlib.contextmanager
    def _held(self, upload_id: str, projects: Sequence[str] | None = None) -> Iterator[UploadRecord]:
        with locked_record(self._checked(upload_id)) as record:
            check_owner(record.known, projects)
            self._refuse_expired(self._upload(upload_id, record.known))
            yield record

    @contextlib.contextmanager
    def _made(self, upload_id: str) -> Iterator[UploadRecord]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked_record(self._record(upload_id), make=True) as record:
            yield record

    def _has_expired(self, upload: Upload) -> bool:
        # What is whole is finished, however long the server was away: its sender may believe it is here.
        return upload.expires_at < self.clock() and not upload.is_landing

    def _refuse_expired(self, upload: Upload) -> None:
        if self._has_expired(upload):
            raise UploadGoneError("the upload has expired: send the file again as a new one")

    def _checked(self, upload_id: str) -> Path:
        if not _ID.fullmatch(upload_id):
            raise NotFoundError(UNKNOWN)
        return self._record(upload_id)

    def _drop(self, upload_id: str, record: UploadRecord) -> None:
        self._discard_bytes(upload_id)
        self._release(upload_id, record)
        record.remove()

    def _discard_bytes(self, upload_id: str) -> None:
        self._part(upload_id).unlink(missing_ok=True)
        discard(self._unpacked(upload_id))

    @property
    def _folder(self) -> Path:
        return self.landing.uploads_folder

    def _record(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}{RECORD_SUFFIX}"

    def _unpacked(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}{_UNPACKED}"

    def _part(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}{_PART}"

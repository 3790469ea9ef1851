"""How an upload ends: as a file that has landed, with its job, or as nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from haste_core.errors import InvalidError
from haste_core.messages import Place
from haste_core.ports import Clock
from haste_core.uploads import ChecksumMismatchError, Upload, UploadGoneError, UploadMetadata
from haste_runtime.packing import unpack
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.receiving import flush_to_disk
from haste_server.gateway.room import UploadRoom
from haste_server.gateway.upload_files import UploadFiles
from haste_server.gateway.upload_records import UploadRecord


@dataclass(frozen=True)
class UploadEnding:
    """Lets uploads land, or drops them.

    Attributes
    ----------
    files : UploadFiles
    landing : FolderLandingArea
    arrivals : Arrivals
        What makes jobs of finished uploads.
    room : UploadRoom
    """

    files: UploadFiles
    landing: FolderLandingArea
    arrivals: Arrivals
    room: UploadRoom
    clock: Clock

    def check_job(self, said: UploadMetadata) -> None:
        """Refuse early what could make no job in the end, if it is to make one.

        Raises
        ------
        InvalidError
        """
        if said.wants_job:
            self.landing.check_sidecars(said)
            self.arrivals.check(said, site=self.landing.site, sidecars=self.landing.sidecar_urls(said))

    def use_what_is_here(self, record: UploadRecord, said: UploadMetadata) -> None:
        """Take an upload for landed, or finished, if what is to be sent was sent before."""
        if said.sha256 is None or (said.stream_id is None and record.known.get("projects") is not None):
            return  # what belongs to no stream may be another project's
        place = self.landing.place_for(said, said.sha256, record.known["length"])
        if self.landing.holds(place):
            record.add(place=place.model_dump(exclude_none=True))
        elif said.wants_job:
            job_id = self.arrivals.job_of(said, said.sha256)
            if job_id is not None:  # it was here, and its object is elsewhere by now
                record.add(job_id=job_id, finished_at=self.clock())

    def finish_if_whole(self, upload_id: str, record: UploadRecord, sha256: str | None = None) -> Upload:
        """Let a whole file land, and submit its job; return how the upload stands.

        Each step can be done again, so that whoever comes after a crash goes on where it was cut off.

        Parameters
        ----------
        upload_id : str
        record : UploadRecord
        sha256 : str, optional
            Of the bytes that have arrived; None: not known yet.

        Raises
        ------
        ChecksumMismatchError, UploadGoneError, InvalidError, OSError
        """
        upload = self.files.upload(upload_id, record.known)
        if not upload.is_landing:
            return upload
        said = UploadMetadata.parse(upload.header)
        place = upload.place or self._checked_place(upload, record, said, sha256)
        part = self.files.part(upload_id)
        whole = self.files.unpacked(upload_id) if said.is_packed else part
        if whole.exists():
            self.landing.adopt(whole, place)
        elif not self.landing.holds(place):
            self.drop(upload_id, record)
            raise UploadGoneError("the file was taken away before its upload was finished; send it again")
        part.unlink(missing_ok=True)  # of what was packed
        if record.known.get("held_by") is not None:
            self.room.count_landed(upload_id, place.url)
        job_id = self._submit(said, place, record.known.get("projects"))
        record.add(job_id=job_id, finished_at=self.clock())
        return self.files.upload(upload_id, record.known)

    def drop(self, upload_id: str, record: UploadRecord) -> None:
        """Forget an upload and its bytes; a file that has landed stays."""
        self.drop_bytes(upload_id, record)
        record.remove()

    def drop_bytes(self, upload_id: str, record: UploadRecord) -> None:
        """Forget the bytes of an upload."""
        self.files.discard_bytes(upload_id)
        # What has landed counts by itself.
        if record.known.get("held_by") is not None and record.known.get("finished_at") is None:
            self.room.release(upload_id)

    def _submit(self, said: UploadMetadata, place: Place, projects: Sequence[str] | None) -> int | None:
        if not said.wants_job:
            return None
        return self.arrivals.submit(said, place, self.landing.sidecar_urls(said), projects)

    def _checked_place(
        self, upload: Upload, record: UploadRecord, said: UploadMetadata, sha256: str | None
    ) -> Place:
        part = self.files.part(upload.upload_id)
        part.touch()  # of nothing, nothing may have been sent
        if said.is_packed:
            sha256 = self._unpack(upload, record)
        elif sha256 is None:
            with part.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if said.sha256 not in (None, sha256):
            self.drop(upload.upload_id, record)
            raise ChecksumMismatchError(
                f"the {upload.length:,} bytes that arrived have SHA-256 {sha256}, not {said.sha256}; "
                "send the file again"
            )
        flush_to_disk(part)
        place = self.landing.place_for(said, sha256, upload.length)
        record.add(place=place.model_dump(exclude_none=True))
        return place

    def _unpack(self, upload: Upload, record: UploadRecord) -> str:
        self.room.check_disk(upload.length)
        try:
            return unpack(self.files.part(upload.upload_id), self.files.unpacked(upload.upload_id))
        except InvalidError:  # it will not be another
            self.drop(upload.upload_id, record)
            raise

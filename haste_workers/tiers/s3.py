"""A tier in an S3 bucket. Importing this needs boto3, which the extra ``s3`` installs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from haste_core.errors import HasteError, PermanentError, TransientError
from haste_runtime.tiers import S3Tier
from haste_workers.s3 import PASSING, client_of
from haste_workers.tiers.objects import SourceFile
from haste_workers.web import CHUNK_BYTES, failure_of

PART_BYTES = 16 << 20
"""Larger objects go in parts of this size, each of which is held in memory once."""

_MAX_PARTS = 10_000
_STALE = timedelta(days=1)  # no upload takes this long: its process died
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"})
# Somebody was quicker; MinIO keeps objects as files, so that a/b cannot be where a is.
_TAKEN = frozenset({"PreconditionFailed", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory"})
# Some are those of two who store or remove at the same time: the next look shows what came of it.
_PASSING_CODES = frozenset(
    {"BadDigest", "ConditionalRequestConflict", "NoSuchKey", "NoSuchUpload", "RequestTimeout"}
)


class S3Store:
    """The bucket of a tier."""

    def __init__(self, tier: S3Tier) -> None:
        self._tier = tier
        self.can_claim = tier.conditional_writes

    def url_of(self, key: str) -> str:
        """Return ``s3://bucket/key``."""
        return f"s3://{self._tier.bucket}/{quote(key)}"

    def compare(self, key: str, source: SourceFile) -> bool | None:
        """Compare by the checksum that the server keeps, or else by reading the object."""
        with self._explained(key):
            head = self._head(key)
            if head is None:
                return None
            if head["ContentLength"] != source.size_bytes:
                return False
            kept = head.get("ChecksumSHA256")
            if kept is None:
                return self._reads_back(key, source.sha256)
            if kept == _base64(bytes.fromhex(source.sha256)):
                return True
            if "-" not in head["ETag"]:
                return False
            # It came in parts, perhaps of other sizes than ours, and so the checksum is one of checksums.
            return kept == _checksum_of_parts(source) or self._reads_back(key, source.sha256)

    def send(self, key: str, source: SourceFile, *, claim: bool) -> bool:
        """Store an object by one request or in parts."""
        send = self._send_whole if source.size_bytes <= PART_BYTES else self._send_parts
        with self._explained(key):
            try:
                verified = send(key, source, {"IfNoneMatch": "*"} if claim else {})
            except ClientError as error:
                code = _code_of(error)
                # A server that knows no conditions says so with 501; a name that is not shared needs none.
                if code in _TAKEN or (claim and code in ("NotImplemented", "501")):
                    return False
                raise
            if not verified and not self._reads_back(key, source.sha256):
                raise TransientError(f"{self.url_of(key)} does not read back as it was sent")
            return True

    def holds(self, key: str, sha256: str) -> bool | None:
        """Compare with the checksum that the server keeps, or else with the hash that `send` recorded."""
        with self._explained(key):
            head = self._head(key)
            if head is None:
                return None
            kept = head.get("ChecksumSHA256")
            if kept is not None and "-" not in head["ETag"]:
                return bool(kept == _base64(bytes.fromhex(sha256)))
            # The record came with the content, in one request, and goes with it.
            return head["Metadata"].get("sha256") == sha256 or self._reads_back(key, sha256)

    def remove(self, key: str) -> None:
        """Delete an object."""
        with self._explained(key):
            self._client.delete_object(**self._named(key))

    def try_writing(self, key: str) -> None:
        """Begin an object in parts, and give it up: that asks for the same right, and leaves no version."""
        with self._explained(key):
            begun = self._client.create_multipart_upload(**self._named(key))
            self._client.abort_multipart_upload(**self._named(key), UploadId=begun["UploadId"])

    def _head(self, key: str) -> Any:
        try:
            return self._client.head_object(**self._named(key), ChecksumMode="ENABLED")
        except ClientError as error:
            if _status_of(error) == 404:
                return None
            raise

    def _send_whole(self, key: str, source: SourceFile, condition: dict[str, str]) -> bool:
        (body,) = source.pieces(PART_BYTES)
        checksum = _checksum(body)
        answer = self._client.put_object(
            **self._named(key),
            Body=body,
            Metadata=_metadata(source),
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
            **condition,
        )
        return bool(answer.get("ChecksumSHA256") == checksum)

    def _send_parts(self, key: str, source: SourceFile, condition: dict[str, str]) -> bool:
        self._abort_stale_uploads(key)
        created = self._client.create_multipart_upload(
            **self._named(key),
            Metadata=_metadata(source),
            ChecksumAlgorithm="SHA256",
            ChecksumType="COMPOSITE",
        )
        if "UploadId" not in created:
            raise TransientError(f"{self.url_of(key)} cannot be sent now: the server's answer was cut short")
        upload = {**self._named(key), "UploadId": created["UploadId"]}
        try:
            pieces = enumerate(source.pieces(_part_bytes(source)), start=1)
            parts = [self._send_part(upload, number, piece) for number, piece in pieces]
            answer = self._client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, **condition
            )
        except BaseException:
            # What cannot be removed now is stale in a day.
            with contextlib.suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**upload)
            raise
        return bool(answer.get("ChecksumSHA256") == _checksum_of_checksums(parts))

    def _send_part(self, upload: dict[str, str], number: int, piece: bytes) -> dict[str, Any]:
        checksum = _checksum(piece)
        sent = self._client.upload_part(
            **upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum
        )
        return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}

    def _abort_stale_uploads(self, key: str) -> None:
        """Remove what killed processes have left of objects in the same folder of the bucket."""
        folder = key.rpartition("/")[0]
        with contextlib.suppress(ClientError):  # not every gateway can list them, not every key may
            listed = self._client.list_multipart_uploads(
                Bucket=self._tier.bucket, Prefix=f"{folder}/", EncodingType="url"
            )
            for upload in listed.get("Uploads", []):
                if datetime.now(UTC) - upload["Initiated"] > _STALE:
                    self._client.abort_multipart_upload(
                        **self._named(unquote(upload["Key"])), UploadId=upload["UploadId"]
                    )

    def _reads_back(self, key: str, sha256: str) -> bool:
        digest = hashlib.sha256()
        with closing(self._client.get_object(**self._named(key))["Body"]) as body:
            for chunk in body.iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == sha256

    @property
    def _client(self) -> Any:
        return client_of(self._tier.connection)

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._tier.bucket, "Key": key}

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        url = self.url_of(key)
        try:
            yield
        except ClientError as error:
            if self._tier.access_key_id is None and _status_of(error) in (400, 401, 403):
                # The key that boto3 found may have expired: the next request looks for it again.
                client_of.cache_clear()
            raise _failure(url, error) from error
        except PASSING as error:
            raise TransientError(f"{url} cannot be reached now: {error}") from error
        except NoCredentialsError as error:
            raise PermanentError(
                f"{url}: there is no key for this bucket. Give access_key_id and secret_access_key with the "
                "tier, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except BotoCoreError as error:
            raise PermanentError(f"{url} cannot be stored: {error}") from error


def _failure(url: str, error: ClientError) -> HasteError:
    status, code = _status_of(error), _code_of(error)
    told = error.response["Error"].get("Message", "")
    said = f"{url}: its server says {status}{'' if code == str(status) else f' {code}'}: {told}"
    if code in _FULL or status == 507:
        return TransientError(f"the tier is full, the object waits for space; {said}")
    if code == "NoSuchBucket":
        return PermanentError(f"{said}; make the bucket, or correct `bucket` of the tier")
    if status in (401, 403):
        return PermanentError(f"{said}; the tier's key has to have the right to list, read, write and delete")
    if code in _PASSING_CODES or failure_of(status) is TransientError:
        return TransientError(said)
    return PermanentError(said)


def _status_of(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _code_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))


def _metadata(source: SourceFile) -> dict[str, str]:
    # By these names other programs, such as rclone, keep a file's time too.
    return {"sha256": source.sha256, "mtime": f"{source.mtime_s:.6f}"}


def _part_bytes(source: SourceFile) -> int:
    return max(PART_BYTES, -(-source.size_bytes // _MAX_PARTS))


def _checksum_of_parts(source: SourceFile) -> str:
    parts = [{"ChecksumSHA256": _checksum(piece)} for piece in source.pieces(_part_bytes(source))]
    return _checksum_of_checksums(parts)


def _checksum_of_checksums(parts: list[dict[str, Any]]) -> str:
    joined = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in parts)
    return f"{_checksum(joined)}-{len(parts)}"


def _checksum(body: bytes) -> str:
    return _base64(hashlib.sha256(body).digest())


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

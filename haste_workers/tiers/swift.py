"""A tier in a container of Swift. Importing this needs swiftclient, which the extra ``swift`` installs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

from haste_core.errors import HasteError, PermanentError, TransientError
from haste_runtime.tiers import SwiftTier
from haste_workers.swift import PASSING, REFUSALS, client_of, status_of
from haste_workers.tiers.objects import SourceFile
from haste_workers.web import CHUNK_BYTES, failure_of

_MAX_SEGMENTS = 1000  # what Swift allows in one manifest unless it is told otherwise
# No stream's name starts with a dot.
_SEGMENTS = ".haste-segments"


class SwiftStore:
    """The container of a tier."""

    # "If-None-Match: *" is looked at before the content comes: of two that come together the later one stays.
    can_claim = False

    def __init__(self, tier: SwiftTier) -> None:
        self._tier = tier

    def url_of(self, key: str) -> str:
        """Return ``swift://container/name``."""
        return f"swift://{self._tier.container}/{quote(key)}"

    def compare(self, key: str, source: SourceFile) -> bool | None:
        """Compare by the MD5 of what is stored and the recorded SHA-256, or else by reading the object."""
        with self._explained(key):
            head = self._head(key)
            if head is None:
                return None
            if int(head["content-length"]) != source.size_bytes:
                return False
            recorded = head.get("x-object-meta-sha256")
            is_same = recorded == source.sha256 and _unquoted(head["etag"]) == self._etag_of(source)
            return is_same or self._reads_back(key, source.sha256)

    def send(self, key: str, source: SourceFile, *, claim: bool) -> bool:  # noqa: ARG002 - never claims
        """Store an object by one request, or as segments that a manifest makes one object at the end.

        Swift compares each with its MD5 before it keeps it.
        """
        with self._explained(key):
            if source.size_bytes <= self._tier.segment_bytes:
                (body,) = source.pieces(self._tier.segment_bytes)
                self._put(key, body, headers=_headers(source))
            else:
                self._send_segments(key, source)
            return True

    def holds(self, key: str, sha256: str) -> bool | None:
        """Compare with the hash that `send` recorded, or else by reading the object."""
        with self._explained(key):
            head = self._head(key)
            if head is None:
                return None
            return head.get("x-object-meta-sha256") == sha256 or self._reads_back(key, sha256)

    def remove(self, key: str) -> None:
        """Delete an object, and the segments that it is made of."""
        with self._explained(key):
            head = self._head(key)
            if head is None:
                return
            query = "multipart-manifest=delete" if "x-static-large-object" in head else None
            try:
                self._client.delete_object(self._tier.container, key, query_string=query)
            except REFUSALS as error:
                if status_of(error) != 404:  # else somebody was quicker
                    raise
            if query is not None and self._head(key) is not None:  # only its answer's body tells of failures
                raise TransientError(f"{self.url_of(key)} cannot be removed wholly now")

    def try_writing(self, key: str) -> None:
        """Store an empty object, and delete it."""
        with self._explained(key):
            self._put(key, b"")
        self.remove(key)

    def _head(self, key: str) -> Any:
        try:
            return self._client.head_object(self._tier.container, key)
        except REFUSALS as error:
            if status_of(error) == 404:
                return None
            raise

    def _send_segments(self, key: str, source: SourceFile) -> None:
        # Names that tell the content: who sends the same object again, or at the same time, stores the same
        # segments once more, and never others under the names that a finished object is made of.
        prefix = f"{self._tier.prefix}/" if self._tier.prefix else ""
        folder = f"{prefix}{_SEGMENTS}/{hashlib.sha256(key.encode()).hexdigest()}/{source.sha256}"
        manifest, etags = [], []
        for number, piece in enumerate(source.pieces(self._segment_bytes(source))):
            etags.append(_md5(piece))
            name = f"{folder}/{number:04}-{etags[-1]}"
            self._put(name, piece)
            path = f"/{self._tier.container}/{name}"
            manifest.append({"path": path, "etag": etags[-1], "size_bytes": len(piece)})
        self._client.put_object(
            self._tier.container,
            key,
            json.dumps(manifest),
            etag=_etag_of_segments(etags),
            headers=_headers(source),
            query_string="multipart-manifest=put",
        )

    def _put(self, name: str, body: bytes, *, headers: dict[str, str] | None = None) -> None:
        self._client.put_object(
            self._tier.container,
            name,
            io.BytesIO(body) if body else b"",
            content_length=len(body),
            etag=_md5(body),
            content_type="application/octet-stream",
            headers=headers,
        )

    def _segment_bytes(self, source: SourceFile) -> int:
        return max(self._tier.segment_bytes, -(-source.size_bytes // _MAX_SEGMENTS))

    def _etag_of(self, source: SourceFile) -> str:
        etags = [_md5(piece) for piece in source.pieces(self._segment_bytes(source))]
        return etags[0] if source.size_bytes <= self._tier.segment_bytes else _etag_of_segments(etags)

    def _reads_back(self, key: str, sha256: str) -> bool:
        digest = hashlib.sha256()
        _, body = self._client.get_object(self._tier.container, key, resp_chunk_size=CHUNK_BYTES)
        with closing(body):
            for chunk in body:
                digest.update(chunk)
        return digest.hexdigest() == sha256

    @property
    def _client(self) -> Any:
        return client_of(self._tier.connection)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except PASSING as error:
            raise TransientError(f"{self.url_of(key)} cannot be reached now: {error}") from error
        except REFUSALS as error:
            raise _failure(self.url_of(key), error) from error


def _failure(url: str, error: Exception) -> HasteError:
    status = status_of(error)
    said = f"{url}: its server says: {error}"
    if status in (413, 507):
        return TransientError(f"the tier is full, the object waits for space; {said}")
    if status == 404:
        return PermanentError(
            f"{said}; is there no such container? Make it, or correct `container` of the tier"
        )
    if status in (401, 403):
        return PermanentError(
            f"{said}; look at user, key and project of the tier, and at the container's rights"
        )
    # Two who store at the same time, a piece that was damaged on its way, a request that took too long.
    if status in (408, 409, 422) or failure_of(status) is TransientError:
        return TransientError(said)
    return PermanentError(said)


def _headers(source: SourceFile) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "X-Object-Meta-Sha256": source.sha256,
        # By this name other programs, such as rclone, keep a file's time too.
        "X-Object-Meta-Mtime": f"{source.mtime_s:.6f}",
    }


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _etag_of_segments(etags: list[str]) -> str:
    return _md5("".join(etags).encode())


def _unquoted(etag: str) -> str:
    return etag.strip('"')

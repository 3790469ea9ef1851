"""Checksums of files that are sent."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path


def digest_header(path: Path) -> dict[str, str]:
    """Make the header ``Repr-Digest`` (RFC 9530) with a file's SHA-256."""
    with path.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
    return {"Repr-Digest": f"sha-256=:{digest}:"}

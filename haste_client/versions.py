"""Versions of sources: which content a file has, and which folder it comes from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from haste_client.directory import ImageFile
from haste_core.routing import Roots

_ORIGIN_DIGITS = 8  # of a stream's few folders, two have the same origin once in a thousand million times
_PATTERN = re.compile(rf"\d+-\d+-([0-9a-f]{{{_ORIGIN_DIGITS}}})")


class SourceVersions:
    """Names versions so that a file of one folder is never taken for its namesake in another.

    Parameters
    ----------
    roots : Roots
        Names of local folders. The origin follows from these names, so that all computers agree on it.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._origins: dict[Path, str] = {}

    def of(self, file: ImageFile) -> str:
        """Return ``SIZE-MTIME-ORIGIN``."""
        return f"{file.version}-{self.origin(file)}"

    def origin(self, file: ImageFile) -> str:
        """Return what stands for the URL of the file's folder: eight hexadecimal digits."""
        folder = file.path.parent
        if folder not in self._origins:
            digest = hashlib.sha256(self._roots.url_of(folder).encode()).hexdigest()
            self._origins[folder] = digest[:_ORIGIN_DIGITS]
        return self._origins[folder]


def origin_in(version: str | None) -> str | None:
    """Read the origin from a version; None if the version is of another kind, such as a checksum."""
    found = _PATTERN.fullmatch(version or "")
    return found and found[1]

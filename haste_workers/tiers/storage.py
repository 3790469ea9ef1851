"""What every tier driver offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from haste_core.errors import PermanentError


@dataclass(frozen=True)
class StoredObject:
    """What a tier holds after an object was put to it.

    Attributes
    ----------
    url : str
    sha256 : str
        In hex, of the content as it was read back.
    size_bytes : int
    name : PurePosixPath
        Relative to the tier's root or prefix.
    """

    url: str
    sha256: str
    size_bytes: int
    name: PurePosixPath


class TierStorage(Protocol):
    """A place for data.

    Putting the same content under the same name again changes nothing and answers the same; another content
    under a taken name gets a name of its own. A put that is interrupted at any moment leaves nothing under
    the final name.
    """

    def put(self, source: Path, *, stream_id: str, source_id: str, sha256: str | None = None) -> StoredObject:
        """Copy an object into the tier and verify the copy; the source stays as it is.

        Parameters
        ----------
        source : Path
            A file, whose extension is added to the name where `source_id` lacks it; or a folder that is a
            container, which gets the extension ``.zarr``.
        stream_id, source_id : str
            Name the object; whatever they hold, the copy lies inside the tier.
        sha256 : str, optional
            Of the content that was decided about, in hex; nothing else is put.

        Raises
        ------
        BadInputError
            If the source has another content.
        TransientError
            If the tier cannot take it now, for example since its disk is full.
        PermanentError
            If it never will.
        """

    def put_beside(self, source: Path, name: PurePosixPath) -> StoredObject:
        """Copy a sidecar beside its object, and verify the copy, as `put` does.

        Parameters
        ----------
        source : Path
        name : PurePosixPath
            Made by `naming.sidecar_name` of the object's name in this tier. It is taken as it is, also where
            objects get their hash into their names.

        Raises
        ------
        TransientError, PermanentError
            As of `put`.
        """

    def try_writing(self) -> None:
        """Find out whether objects can be put here now; nothing that anybody could take for one is left.

        Raises
        ------
        TransientError, PermanentError
            As `put` would, with what is in the way.
        """

    def covers(self, url: str) -> bool:
        """Tell whether a URL names something in the tier, be it there or not."""

    def holds(self, url: str, sha256: str) -> bool:
        """Tell whether an object is there, with a known content.

        A folder's file is read. A bucket is asked for the checksum that it keeps, or for the hash that was
        recorded with the object; where there is neither, the object is read.

        Parameters
        ----------
        url : str
            As `put` answered it.
        sha256 : str
            In hex.

        Raises
        ------
        TransientError, PermanentError
            If that cannot be told; also if the tier does not cover the URL.
        """

    def remove(self, url: str, sha256: str, *, confirm: Callable[[], None]) -> None:
        """Remove an object that has a known content; that it is gone already is fine.

        Parameters
        ----------
        url, sha256 : str
            As for `holds`.
        confirm : callable
            Asked last, when all else is found to be right: it raises if the object is to stay.

        Raises
        ------
        TransientError, PermanentError
            If it has other content, or cannot be removed. Then it is where it was.
        """


def not_covered(url: str, tier: object) -> PermanentError:
    """Say that a URL names nothing in a tier."""
    return PermanentError(f"{url} is not in the tier {tier}")

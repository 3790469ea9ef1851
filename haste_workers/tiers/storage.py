"""What every tier driver offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """What a tier holds after an object was put to it.

    Attributes
    ----------
    url : str
    sha256 : str
        In hex, of the content as it was read back.
    size_bytes : int
    """

    url: str
    sha256: str
    size_bytes: int


class TierStorage(Protocol):
    """A place for data.

    Putting the same content under the same name again changes nothing and answers the same; another content
    under a taken name gets a name of its own. A put that is interrupted at any moment leaves nothing under
    the final name.
    """

    def put(self, source: Path, *, stream_id: str, source_id: str, sha256: str | None = None) -> StoredObject:
        """Copy a file into the tier and verify the copy; the source stays as it is.

        Parameters
        ----------
        source : Path
            Its extension is added to the name where `source_id` lacks it.
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

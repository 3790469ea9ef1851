"""Files that should be images: what they are by content, and what to say when they fail."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from haste_core.errors import HasteError, PermanentError, SourceMissingError, TransientError
from haste_runtime.locks import is_held_elsewhere
from haste_workers.imaging.formats.mrc import is_mrc
from haste_workers.imaging.image import UnreadableImageError

_FORMATS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"ZISRAWFILE": "CZI",
    b"\xda\xce\xbe\x0a": "ND2",
}

_START_BYTES = 1024

_DM = re.compile(rb"\x00{3}(\x03.{4}|\x04.{8})\x00{3}[\x00\x01]{3}", re.DOTALL)
"""DigitalMicrograph: version, length, byte order, and whether the outermost tags are sorted and open."""

_LIF = re.compile(rb"p\0\0\0.{4}\*.{4}<\0", re.DOTALL)
"""The start of a LIF: its first byte alone may begin an MRC of 112 columns."""

_DECODERS_OWN = (None, errno.EINVAL)
"""Error numbers of an OSError that a decoder made: none (Pillow), or a seek to before the file's start
by a damaged offset (tifffile). All others come from the drive."""


def format_of(file: BinaryIO) -> str:
    """Tell an image file's format by its first kilobyte; names are often wrong.

    Parameters
    ----------
    file : binary file at its start
        Left at its start.

    Returns
    -------
    str
        ``"TIFF"``, ``"PNG"``, ``"JPEG"``, ``"JPEG XL"``, ``"CZI"``, ``"ND2"``, ``"LIF"``, ``"MRC"``,
        ``"DM3"`` or ``"DM4"``.

    Raises
    ------
    UnreadableImageError
        It is none of them.
    """
    start = file.read(_START_BYTES)
    file.seek(0)
    if not start:
        raise UnreadableImageError("the file is empty; was it still being written?")
    for magic, name in _FORMATS.items():
        if start.startswith(magic):
            return name
    if _LIF.match(start):
        return "LIF"
    # A big-endian MRC of 3 or 4 columns begins like a DM file.
    if is_mrc(start):
        return "MRC"
    if _DM.match(start):
        return f"DM{start[3]}"
    raise UnreadableImageError(
        "the file is neither TIFF, PNG, JPEG, JPEG XL, CZI, ND2, LIF, MRC nor DM, whatever its name (it "
        f"starts with {start[:8]!r})"
    )


@contextmanager
def as_image_errors(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while an image file is read or rewritten into an error of the project.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the message.

    Raises
    ------
    UnreadableImageError
        A decoder failed: the file is damaged or not complete.
    SourceMissingError
        There is no such file.
    PermanentError
        This worker may not read the file.
    TransientError
        A drive is in trouble: the network away, the disk full.
    MemoryError
        As it comes: the file may be as it should, and more memory help.
    """
    try:
        yield
    except (HasteError, MemoryError):
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissingError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise UnreadableImageError("it is a folder") from error
    except PermissionError as error:
        if is_held_elsewhere(error):
            raise TransientError(f"another program has {path} open for itself") from error
        raise PermanentError(f"the worker's account may not read {path}") from error
    # Decoders fail on damaged files in every way that Python has, struct.error to RecursionError.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _DECODERS_OWN:
            raise TransientError(f"{path.name} cannot be handled for now: {error}") from error
        reason = str(error) or type(error).__name__
        raise UnreadableImageError(f"damaged or incomplete ({reason})") from error


@contextmanager
def appearing_whole(target: Path) -> Iterator[Path]:
    """Let a file be written under a temporary name, and take its real one when it is complete.

    Parameters
    ----------
    target : pathlib.Path
        Where the file appears if the block ends without an error and has written it.

    Yields
    ------
    pathlib.Path
        The temporary name, beside `target`; whatever is left there by a failure is removed.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        if partial.exists():
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)

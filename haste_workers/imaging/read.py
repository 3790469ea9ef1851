"""Read an image file, whatever its name says it is, and say what is wrong if it is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from haste_workers.imaging.files import as_image_errors, format_of
from haste_workers.imaging.image import MAX_BYTES, Image
from haste_workers.imaging.pictures import read_jpeg, read_png
from haste_workers.imaging.tiff import read_tiff

_DECODERS: dict[str, Callable[..., Image]] = {
    "TIFF": read_tiff,
    "PNG": read_png,
    "JPEG": read_jpeg,
}


def read_image(path: Path, *, max_bytes: int = MAX_BYTES) -> Image:
    """Read all planes of an image file as grey levels.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF (also BigTIFF, OME-TIFF, ImageJ and MetaMorph stacks), PNG or JPEG file. What it is
        is told by its content, not by its name.
    max_bytes : int
        Limit of the decoded size, checked against the header before anything is decoded.

    Returns
    -------
    Image
        Complete: a file of which a part is missing or damaged is an error.

    Raises
    ------
    UnreadableImageError
        The file is no such image, is damaged or not complete.
    ImageTooLargeError
        It is larger than `max_bytes` when decoded.
    SourceMissingError
        There is no such file.
    PermanentError
        This worker may not read the file.
    TransientError
        The file's drive is in trouble.
    MemoryError
        This process may not take as much memory as the image needs.
    """
    with as_image_errors(path), path.open("rb") as file:
        decode = _DECODERS[format_of(file)]
        return decode(file, max_bytes=max_bytes)

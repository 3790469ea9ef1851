"""TIFF in all its dialects: every page, or an error."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.image import Image, Planes, UnreadableImageError, check_size

_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_BIG_TIFF = 43
_ALPHA = (1, 2)
"""Kinds of extra sample that are opacity; kind 0 is unspecified, in microscopy a channel."""


def read_tiff(file: BinaryIO, *, max_bytes: int) -> Image:
    """Read all planes of a TIFF, OME-TIFF, BigTIFF, ImageJ or MetaMorph (STK) file.

    Parameters
    ----------
    file : binary file, seekable
    max_bytes : int
        Limit of the decoded size.

    Returns
    -------
    Image
        Pages, and samples that are not colour, are planes; opacity, masks and reduced copies
        (previews, pyramids) are left out.

    Raises
    ------
    UnreadableImageError
        The file is not whole, its pages differ in size or kind, or it holds what has no grey level.
    ImageTooLargeError
        The decoded pages exceed `max_bytes`.
    """
    check_page_chain(file)
    with complaints_as_errors(), TiffFile(file) as tiff:
        pages = full_pages(tiff)
        first = pages[0]
        _check_alike(pages)
        check_size((len(pages), *first.shaped), dtype_of(first), max_bytes=max_bytes)
        for page in pages:
            check_segments(page, file_bytes=tiff.filehandle.size)
        planes = _undeclared_planes(tiff, first, max_bytes=max_bytes)
        if planes is None:
            planes = _stack(pages)
    return Image(
        planes=planes,
        format="TIFF",
        dtype=dtype_of(first).name,
        bits=first.bitspersample,
        colour=first.photometric in _COLOUR or _has_colours(first),
    )


def check_page_chain(file: BinaryIO) -> None:
    """Refuse a TIFF whose chain of pages runs in a circle, which tifffile would follow for ever.

    Parameters
    ----------
    file : binary file, seekable
        Left at its start.

    Raises
    ------
    UnreadableImageError
        A page comes twice, or lies beyond the end of the file.
    """
    header = file.read(16)
    order = "<" if header[:2] == b"II" else ">"
    big = struct.unpack(order + "H", header[2:4])[0] == _BIG_TIFF
    count_format, entry_bytes, offset_format = ("Q", 20, "Q") if big else ("H", 12, "I")
    count, link = struct.Struct(order + count_format), struct.Struct(order + offset_format)
    (offset,) = link.unpack_from(header, 8 if big else 4)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise UnreadableImageError("damaged TIFF (its pages run in a circle)")
        seen.add(offset)
        file.seek(offset)
        (entries,) = count.unpack(_exactly(file, count.size))
        file.seek(offset + count.size + entries * entry_bytes)
        (offset,) = link.unpack(_exactly(file, link.size))
    file.seek(0)


def _exactly(file: BinaryIO, size: int) -> bytes:
    read = file.read(size)
    if len(read) < size:
        raise UnreadableImageError(
            "incomplete TIFF (it has fewer pages than it should); was the file still being written or copied?"
        )
    return read


@contextmanager
def complaints_as_errors() -> Iterator[None]:
    """Raise what tifffile only logs: it returns the pages that it found before the damage.

    Raises
    ------
    UnreadableImageError
        tifffile logged an error while the block ran.
    """
    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
    if complaints.messages:
        raise UnreadableImageError(f"damaged or incomplete TIFF ({complaints.messages[0]})")


class _Complaints(logging.Handler):
    """Keeps the errors that tifffile logs in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


def full_pages(tiff: TiffFile) -> list[TiffPage]:
    """List the pages that are images in full resolution.

    Parameters
    ----------
    tiff : tifffile.TiffFile

    Returns
    -------
    list of tifffile.TiffPage

    Raises
    ------
    UnreadableImageError
        There are none.
    """
    pages = [page.aspage() for page in tiff.pages]
    full = [page for page in pages if not (page.is_reduced or page.is_mask)]
    if not full:
        raise UnreadableImageError("the TIFF has no pages; was it still being written?")
    return full


def dtype_of(page: TiffPage) -> np.dtype[np.generic]:
    """Return the dtype of a page's samples.

    Parameters
    ----------
    page : tifffile.TiffPage

    Returns
    -------
    numpy.dtype

    Raises
    ------
    UnreadableImageError
        The samples are of a kind that has no grey level, or of none that is known.
    """
    if page.dtype is None or page.dtype.kind not in "buif":
        raise UnreadableImageError(
            f"its samples of {page.bitspersample} bits ({page.dtype or 'of unknown kind'}) have no "
            "grey level; export it with 8 or 16 bits"
        )
    return np.dtype(page.dtype)


def _check_alike(pages: list[TiffPage]) -> None:
    kinds = {(page.shaped, page.dtype, page.photometric) for page in pages}
    if len(kinds) > 1:
        sizes = " and ".join(sorted({"x".join(map(str, page.shape)) for page in pages}))
        raise UnreadableImageError(
            f"its {len(pages)} pages differ in size or kind ({sizes}); export them as single files"
        )


def check_segments(page: TiffPage, *, file_bytes: int) -> None:
    """Refuse a page whose strips or tiles are not all in the file.

    Some decoders (JPEG) fill what is missing with grey, and tifffile fills absent tiles with zeros.

    Parameters
    ----------
    page : tifffile.TiffPage
    file_bytes : int
        Size of the file.

    Raises
    ------
    UnreadableImageError
        A strip or tile is absent, or ends behind the end of the file.
    """
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(segments) < np.prod(page.chunked) or not all(offset and size for offset, size in segments):
        raise UnreadableImageError(f"page {page.index + 1} of the TIFF lacks some of its data")
    if _needed_end(page, segments) > file_bytes:
        raise UnreadableImageError(
            f"page {page.index + 1} of the TIFF goes beyond the end of the file; was the file still "
            "being written or copied?"
        )


def _needed_end(page: TiffPage, segments: list[tuple[int, int]]) -> int:
    """Return the byte up to which the file must reach at least, to hold a page."""
    if page.compression != COMPRESSION.NONE:
        return max(offset + size for offset, size in segments)
    # Old writers round the last strip's size up; without compression the pixels tell it.
    return int(page.size) * page.bitspersample // 8


def _undeclared_planes(tiff: TiffFile, page: TiffPage, *, max_bytes: int) -> Planes | None:
    """Return the planes of a stack that describes its only page's successors in words.

    ImageJ (above 4 GB), MetaMorph and tifffile itself may write one page and all pixels behind it.
    """
    if len(tiff.pages) > 1 or not (tiff.is_imagej or tiff.is_stk or tiff.is_shaped):
        return None
    series = tiff.series[0]
    if series.size == np.prod(page.shaped) or page.photometric not in _GREY:
        return None
    check_size(series.shape, dtype_of(page), max_bytes=max_bytes)
    pixels: Planes = series.asarray(maxworkers=1)
    return pixels.reshape(-1, page.imagelength, page.imagewidth)


def _stack(pages: list[TiffPage]) -> Planes:
    first = _page_planes(pages[0])
    if len(pages) == 1:
        return first
    planes = np.empty((len(pages), *first.shape), first.dtype)
    planes[0] = first
    for index, page in enumerate(pages[1:], start=1):
        planes[index] = _page_planes(page)
    return planes.reshape(-1, *first.shape[1:])


def _page_planes(page: TiffPage) -> Planes:
    """Decode one page into (P, M, N) grey levels."""
    separate, *_, contiguous = page.shaped
    pixels = page.asarray(maxworkers=1).reshape(page.shaped)
    samples = [pixels[index, ..., 0] for index in range(separate)]
    if contiguous > 1:
        samples = [pixels[0, ..., index] for index in range(contiguous)]
    if page.colormap is not None and _has_colours(page):
        return luminance([channel[samples[0]] for channel in page.colormap])
    opaque = len(samples) - sum(extra in _ALPHA for extra in page.extrasamples)
    if page.photometric in _COLOUR and opaque >= 3:
        return luminance(samples[:3])
    if page.photometric not in (*_GREY, *_COLOUR, PHOTOMETRIC.PALETTE):
        raise UnreadableImageError(
            f"its colours ({PHOTOMETRIC(page.photometric).name}) cannot be read as grey levels; "
            "export it as greyscale or RGB"
        )
    planes = np.concatenate(samples[:opaque]) if opaque > 1 else samples[0]
    return _inverted(planes) if page.photometric == PHOTOMETRIC.MINISWHITE else planes


def _has_colours(page: TiffPage) -> bool:
    """Tell whether a palette gives colours; many cameras' palettes are a ramp of greys."""
    if page.photometric != PHOTOMETRIC.PALETTE or page.colormap is None:
        return False
    red, green, blue = page.colormap.astype(np.int64)
    steps = np.diff(red)
    ramp = steps[0] > 0 and np.all(steps == steps[0])
    return not (ramp and np.array_equal(red, green) and np.array_equal(green, blue))


def _inverted(planes: Planes) -> Planes:
    """Make dark low, for a file in which 0 is white."""
    if planes.dtype.kind == "b":
        return ~planes
    return np.iinfo(planes.dtype).max - planes if planes.dtype.kind == "u" else -planes

"""TIFF in all its dialects: every page, or an error."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from haste_workers.imaging.colour import luminance
from haste_workers.imaging.formats.ome import DescribedPage
from haste_workers.imaging.formats.tiff_positions import (
    imagej_metadata,
    outer_axes,
    own_series,
    page_descriptions,
    position_of,
)
from haste_workers.imaging.image import (
    Metadata,
    OpenImage,
    Pixels,
    Plane,
    Position,
    UnreadableImageError,
    check_count,
    declared_bytes,
)

_JPEG_XR = (COMPRESSION.JPEGXR, COMPRESSION.JPEGXR_NDPI)
"""Its decoder gives half an image for half a file, and crashes on some that are damaged."""

_JPEG_END, _JPEG_END_BYTES = b"\xff\xd9", 64

_MAX_PAGES = 100_000
"""Of a page tifffile keeps 4 kB."""

_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_BIG_TIFF = 43
_ALPHA = (1, 2)
"""Kinds of extra sample that are opacity; kind 0 is unspecified, in microscopy a channel."""


@contextmanager
def open_tiff(path: Path) -> Iterator[OpenImage]:
    """Open a TIFF, OME-TIFF, BigTIFF, ImageJ or MetaMorph (STK) file.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    OpenImage
        Pages, and samples that are not colour, are planes; opacity, masks and reduced copies
        (previews, pyramids) are left out. Of an OME-TIFF of several files, the pages of this one.

    Raises
    ------
    UnreadableImageError
        The file is not whole, its pages differ in size or kind, or it holds what has no grey level.
    """
    with path.open("rb") as file:
        check_page_chain(file)
        with complaints_as_errors(), TiffFile(file, _multifile=False) as tiff:
            pages = full_pages(tiff)
            first = pages[0]
            planes = _undeclared_planes(tiff, first) or _declared_planes(tiff, pages)
            for page in pages:
                check_segments(page, file_bytes=tiff.filehandle.size)
            yield OpenImage(
                format="TIFF",
                dtype=dtype_of(first).name,
                bits=first.bitspersample,
                colour=first.photometric in _COLOUR or _has_colours(first),
                planes=planes,
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
        A page comes twice, or lies beyond the end of the file; or there are too many.
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
        check_count(len(seen), most=_MAX_PAGES)
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
        A strip or tile is absent, or ends behind the end of the file; or its codec does not tell whether it
        is whole.
    """
    if page.compression in _JPEG_XR:
        raise UnreadableImageError("it is packed by JPEG XR; export it uncompressed, or packed by LZW")
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(segments) < np.prod(page.chunked) or not all(offset and size for offset, size in segments):
        raise UnreadableImageError(f"page {page.index + 1} of the TIFF lacks some of its data")
    if _needed_end(page, segments) > file_bytes:
        raise UnreadableImageError(
            f"page {page.index + 1} of the TIFF goes beyond the end of the file; was the file still "
            "being written or copied?"
        )


def _check_jpegs(page: TiffPage) -> None:
    """Refuse JPEGs without their end, which are filled up with grey."""
    file = page.parent.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        end_bytes = min(size, _JPEG_END_BYTES)
        file.seek(offset + size - end_bytes)
        if not file.read(end_bytes).rstrip(b"\0").endswith(_JPEG_END):
            raise UnreadableImageError(f"page {page.index + 1} of the TIFF holds a JPEG that is cut off")


def _needed_end(page: TiffPage, segments: list[tuple[int, int]]) -> int:
    """Return the byte up to which the file must reach at least, to hold a page."""
    if page.compression != COMPRESSION.NONE:
        return max(offset + size for offset, size in segments)
    # Old writers round the last strip's size up; without compression the pixels tell it.
    return int(page.size) * page.bitspersample // 8


def _undeclared_planes(tiff: TiffFile, page: TiffPage) -> tuple[Plane, ...]:
    """List the planes of a stack that describes its only page's successors in words; none for others.

    ImageJ (above 4 GB), MetaMorph and tifffile itself may write one page and all pixels behind it.
    """
    if len(tiff.pages) > 1 or not (tiff.is_imagej or tiff.is_stk or tiff.is_shaped):
        return ()
    size, dtype = int(np.prod(page.shaped)), dtype_of(page)
    series = next(iter(own_series(tiff)), None)
    if series is None or series.size == size or page.photometric not in _GREY:
        return ()
    plane_bytes = declared_bytes(page.shaped, dtype)
    first_offset, count = series.dataoffset, int(series.size) // size
    file_bytes = tiff.filehandle.size
    if first_offset is None or series.size % size or first_offset + count * plane_bytes > file_bytes:
        raise UnreadableImageError("the TIFF describes more planes than it holds; export it anew")
    check_count(count)
    metadata = imagej_metadata(tiff) if tiff.is_imagej else Metadata()
    axes, shape = outer_axes(series.axes, series.shape, planes=count)

    def decode(number: int) -> Pixels:
        offset = first_offset + number * plane_bytes
        stored = tiff.filehandle.read_array(page.parent.byteorder + dtype.char, size, offset)
        pixels: Pixels = stored.astype(dtype).reshape(page.imagelength, page.imagewidth)
        return _inverted(pixels) if page.photometric == PHOTOMETRIC.MINISWHITE else pixels

    return tuple(
        Plane(
            decode=partial(decode, number),
            decoded_bytes=plane_bytes,
            stored_bytes=plane_bytes,
            position=position_of(axes, shape, number),
            metadata=metadata,
        )
        for number in range(count)
    )


def _declared_planes(tiff: TiffFile, pages: list[TiffPage]) -> tuple[Plane, ...]:
    """List the planes of all pages: a page has one, or one for each sample that is not colour."""
    described = page_descriptions(tiff)
    by_scene: dict[int, list[TiffPage]] = {}
    planes: list[Plane] = []
    # The channels of a page are decoded together.
    decoded = lru_cache(maxsize=1)(lambda number: _page_planes(pages[number]))
    for number, page in enumerate(pages):
        known = described.get(page.index) or DescribedPage(Position(z=number), Metadata())
        by_scene.setdefault(known.position.scene, []).append(page)
        together = _channels_of(page) * int(page.imagedepth)
        check_count(len(planes) + together)
        for index, position in enumerate(_within_page(page, known.position)):
            planes.append(
                Plane(
                    decode=partial(_one_of, decoded, number, index),
                    decoded_bytes=declared_bytes(page.shaped, dtype_of(page)),
                    stored_bytes=sum(page.databytecounts),
                    decoded_together=together,
                    position=position,
                    metadata=known.metadata,
                )
            )
    for alike in by_scene.values():
        _check_alike(alike)
    return tuple(planes)


def _one_of(decoded: Callable[[int], Pixels], number: int, index: int) -> Pixels:
    plane: Pixels = decoded(number)[index]
    return plane


def _within_page(page: TiffPage, position: Position) -> list[Position]:
    """Tell the positions of a page's planes: channels side by side, and the slices of a volume."""
    channels = _channels_of(page)
    return [
        replace(position, channel=position.channel * channels + channel, z=position.z * page.imagedepth + z)
        for channel in range(channels)
        for z in range(page.imagedepth)
    ]


def _channels_of(page: TiffPage) -> int:
    return 1 if _is_colour(page) else _opaque_samples(page)


def _is_colour(page: TiffPage) -> bool:
    return _has_colours(page) or (page.photometric in _COLOUR and _opaque_samples(page) >= 3)


def _opaque_samples(page: TiffPage) -> int:
    return int(page.samplesperpixel) - sum(extra in _ALPHA for extra in page.extrasamples)


def _page_planes(page: TiffPage) -> Pixels:
    """Decode one page into (K, M, N) grey levels: its channels, unless they are colour."""
    if page.compression == COMPRESSION.JPEG:
        _check_jpegs(page)
    separate, *_, contiguous = page.shaped
    pixels = page.asarray(maxworkers=1).reshape(page.shaped)
    samples = [pixels[index, ..., 0] for index in range(separate)]
    if contiguous > 1:
        samples = [pixels[0, ..., index] for index in range(contiguous)]
    if page.colormap is not None and _has_colours(page):
        return luminance([channel[samples[0]] for channel in page.colormap])
    if _is_colour(page):
        return luminance(samples[:3])
    if page.photometric not in (*_GREY, *_COLOUR, PHOTOMETRIC.PALETTE):
        raise UnreadableImageError(
            f"its colours ({PHOTOMETRIC(page.photometric).name}) cannot be read as grey levels; "
            "export it as greyscale or RGB"
        )
    opaque = _opaque_samples(page)
    planes: Pixels = np.concatenate(samples[:opaque]) if opaque > 1 else samples[0]
    return _inverted(planes) if page.photometric == PHOTOMETRIC.MINISWHITE else planes


def _has_colours(page: TiffPage) -> bool:
    """Tell whether a palette gives colours; many cameras' palettes are a ramp of greys."""
    if page.photometric != PHOTOMETRIC.PALETTE or page.colormap is None:
        return False
    red, green, blue = page.colormap.astype(np.int64)
    steps = np.diff(red)
    ramp = steps[0] > 0 and np.all(steps == steps[0])
    return not (ramp and np.array_equal(red, green) and np.array_equal(green, blue))


def _inverted(planes: Pixels) -> Pixels:
    """Make dark low, for a file in which 0 is white."""
    if planes.dtype.kind == "b":
        return ~planes
    return np.iinfo(planes.dtype).max - planes if planes.dtype.kind == "u" else -planes

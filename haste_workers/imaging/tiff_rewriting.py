"""TIFF written anew with a better codec, with every tag that describes it kept byte for byte."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tifffile import (
    COMPRESSION,
    PHOTOMETRIC,
    PLANARCONFIG,
    PREDICTOR,
    TiffFile,
    TiffPage,
    TiffTag,
    TiffWriter,
)

from haste_workers.imaging.descriptions import noted
from haste_workers.imaging.formats.tiff import (
    check_page_chain,
    check_segments,
    complaints_as_errors,
    dtype_of,
)
from haste_workers.imaging.formats.tiff_positions import own_series
from haste_workers.imaging.image import Pixels, check_size, declared_bytes
from haste_workers.imaging.jxl_boxes import paying_efforts
from haste_workers.imaging.packing import Packing

Change: TypeAlias = Callable[[TiffPage, Pixels], Pixels]
"""What becomes of a page's pixels, in the page's own shape."""

_WORTHWHILE = (
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.PACKBITS,
    COMPRESSION.DEFLATE,
    COMPRESSION.ADOBE_DEFLATE,
)
"""Codecs that the new one can beat; the others are lossy, or as good."""

_IN_JXL = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)

_LAYOUT = frozenset(
    [
        *(254, 255, 256, 257, 258, 259, 262, 266, 277, 284, 317, 320, 338, 339),
        *(273, 278, 279, 288, 289),
        *(322, 323, 324, 325),
    ]
)
"""Tags that say how and where pixels are stored (as samples, in strips, in tiles); the writer makes
them from the pixels."""

_RESOLUTION = frozenset((282, 283, 296))
"""Tags that the writer takes as options; where the source has none, it writes 1 x 1 without unit."""

_POINTERS = frozenset((330, 400, 34665, 34853, 40965, 34118, 34412, 33628, 33629, 33630, 33631))
"""Tags whose values are places in the file (sub-pages, EXIF, GPS, and the private ones of Zeiss and
MetaMorph): moved, they would point at nothing."""

_DESCRIPTION, _ASCII = 270, 2

_NO_UNIT, _INCH = 1, 2
"""Of the resolution; inch is what the standard takes where the tag is missing."""

logger = logging.getLogger(__name__)


def rewrite_tiff(
    source: Path,
    target: Path,
    packing: Packing,
    *,
    max_bytes: int,
    change: Change | None = None,
    note: str | None = None,
) -> bool:
    """Write a TIFF with another codec, and horizontal differences where the codec makes none.

    Parameters
    ----------
    source : pathlib.Path
    target : pathlib.Path
        Is written if the answer is True, may be written if it is False.
    packing : Packing
        JPEG XL takes 8 and 16 bits of grey or colour; other pages are packed by deflate.
    max_bytes : int
        Limit of the decoded size of a page.
    change : callable, optional
        Applied to the pixels of every page. Without it, a source that can hardly get smaller is
        left alone.
    note : str, optional
        Added to the description of the first page.

    Returns
    -------
    bool
        Whether `target` holds all of the source: pages, pixels (as changed), dtype, photometric
        interpretation and tags, all of them read back and compared. False if the source has what
        cannot be moved, such as EXIF or the private tags of an instrument.

    Raises
    ------
    UnreadableImageError
        The source is damaged.
    ImageTooLargeError, ImageBombError
        A page exceeds the limit when decoded, or unpacks out of all proportion.
    """
    with source.open("rb") as file:
        check_page_chain(file)
    with complaints_as_errors(), TiffFile(source, _multifile=False) as old:
        pages = [page.aspage() for page in old.pages]
        if not _movable(old, pages) or (change is None and not _improvable(pages, packing)):
            return False
        for page in pages:
            check_size(
                declared_bytes(page.shaped, dtype_of(page)),
                stored_bytes=sum(page.databytecounts),
                max_bytes=max_bytes,
            )
            check_segments(page, file_bytes=old.filehandle.size)
        with TiffWriter(target, byteorder=old.byteorder, bigtiff=old.is_bigtiff) as writer:
            for page in pages:
                pixels = _pixels(page, change)
                if not _write_page(writer, page, pixels, packing, _on_first(page, note)):
                    return False
        with TiffFile(target) as new:
            return _same(pages, [page.aspage() for page in new.pages], change, note)


def _movable(tiff: TiffFile, pages: list[TiffPage]) -> bool:
    """Tell whether all that the file holds is in its pages."""
    if tiff.is_stk or tiff.is_lsm or tiff.is_ndpi or tiff.is_micromanager or not pages:
        return False
    # Further planes may follow the only page, declared in words alone.
    in_words = len(pages) == 1 and (tiff.is_imagej or tiff.is_shaped)
    if in_words and [series.size for series in own_series(tiff)[:1]] != [np.prod(pages[0].shaped)]:
        return False
    return all(_page_movable(page) for page in pages)


def _page_movable(page: TiffPage) -> bool:
    dtype = dtype_of(page)
    return (
        page.bitspersample == 8 * dtype.itemsize
        and page.imagedepth == 1
        and not any(tag.code in _POINTERS for tag in page.tags)
    )


def _improvable(pages: list[TiffPage], packing: Packing) -> bool:
    return any(
        page.compression in _WORTHWHILE
        and not (
            packing.codec == "deflate" and page.compression != COMPRESSION.LZW and _has_differences(page)
        )
        for page in pages
    )


def _has_differences(page: TiffPage) -> bool:
    return bool(page.predictor == PREDICTOR.HORIZONTAL)


def _pixels(page: TiffPage, change: Change | None) -> Pixels:
    pixels: Pixels = page.asarray(maxworkers=1)
    return pixels if change is None else change(page, pixels)


def _on_first(page: TiffPage, note: str | None) -> str | None:
    return note if page.index == 0 else None


def _codec_options(page: TiffPage, pixels: Pixels, packing: Packing) -> dict[str, Any]:
    """Return the writer's options of a page's codec."""
    # Differences of floats are for their bits only, and not every reader undoes them.
    predictor = PREDICTOR.HORIZONTAL if pixels.dtype.kind in "ui" else PREDICTOR.NONE
    if packing.codec == "jxl" and _fits_jxl(page, pixels):
        effort = paying_efforts(pixels, packing.jxl_efforts)[0]
        arguments = {"lossless": True, "effort": effort, "numthreads": 1}
        return {
            "compression": COMPRESSION.JPEGXL,
            "compressionargs": arguments,
            "rowsperstrip": page.imagelength,
        }
    if packing.codec == "zstd":
        arguments = {"level": packing.zstd_level}
        return {"compression": COMPRESSION.ZSTD, "compressionargs": arguments, "predictor": predictor}
    arguments = {"level": packing.deflate_levels[-1]}
    return {"compression": COMPRESSION.ADOBE_DEFLATE, "compressionargs": arguments, "predictor": predictor}


def _fits_jxl(page: TiffPage, pixels: Pixels) -> bool:
    together = page.samplesperpixel == 1 or page.planarconfig == PLANARCONFIG.CONTIG
    # The writer would hand the encoder 16-bit samples in the file's byte order, which it does not take.
    dtypes = (np.uint8, np.uint16) if page.parent.byteorder == "<" else (np.uint8,)
    return pixels.dtype in dtypes and page.photometric in _IN_JXL and together


def _write_page(
    writer: TiffWriter, page: TiffPage, pixels: Pixels, packing: Packing, note: str | None
) -> bool:
    """Write a page; False if the writer knows no way to hold it."""
    tags = page.tags
    try:
        writer.write(
            pixels,
            photometric=page.photometric,
            planarconfig=page.planarconfig if page.samplesperpixel > 1 else None,
            extrasamples=page.extrasamples or None,
            colormap=page.colormap,
            subfiletype=page.subfiletype,
            resolution=(tags.valueof(282, (1, 1)), tags.valueof(283, (1, 1))),
            resolutionunit=tags.valueof(296, _INCH if 282 in tags else _NO_UNIT),
            **_codec_options(page, pixels, packing),
            software=False,
            metadata=None,
            maxworkers=1,
            extratags=[
                (code, dtype, len(raw), raw, False) for code, (dtype, raw) in _described(page, note).items()
            ],
        )
    except (OSError, MemoryError):
        raise
    # A TIFF may hold what tifffile reads but does not write; it refuses in several ways.
    except Exception:
        logger.info("left as it is", exc_info=True, extra={"action": "rewrite_refused"})
        return False
    return True


def _described(page: TiffPage, note: str | None) -> dict[int, tuple[int, bytes]]:
    """Return type and raw bytes of every tag that describes the page, and the note."""
    ours = _LAYOUT | _RESOLUTION
    tags = {tag.code: (int(tag.dtype), _raw(page, tag)) for tag in page.tags if tag.code not in ours}
    if note is not None:
        _, description = tags.get(_DESCRIPTION, (_ASCII, b""))
        tags[_DESCRIPTION] = (_ASCII, noted(description, note) + b"\0")
    return tags


def _raw(page: TiffPage, tag: TiffTag) -> bytes:
    file = page.parent.filehandle
    file.seek(tag.valueoffset)
    raw: bytes = file.read(tag.valuebytecount)
    # Text ends with NUL by the standard, and does not in many files.
    return raw.rstrip(b"\0") + b"\0" if tag.dtype == _ASCII else raw


def _same(old: list[TiffPage], new: list[TiffPage], change: Change | None, note: str | None) -> bool:
    if len(old) != len(new):
        return False
    return all(
        before.shaped == after.shaped
        and before.dtype == after.dtype
        and before.photometric == after.photometric
        and _same_bits(_pixels(before, change), after.asarray(maxworkers=1))
        and _keeps_tags(before, after, _on_first(before, note))
        for before, after in zip(old, new, strict=True)
    )


def _same_bits(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> bool:
    """Compare bits, not values: NaN is equal to itself here, and -0 is not 0."""
    native = before.dtype.newbyteorder("=")
    return before.astype(native).tobytes() == after.astype(native).tobytes()


def _keeps_tags(before: TiffPage, after: TiffPage, note: str | None) -> bool:
    kept = _described(after, None)
    described = all(kept.get(code) == value for code, value in _described(before, note).items())
    return described and all(
        _same_value(before.tags.valueof(code), after.tags.valueof(code))
        for code in _RESOLUTION
        if code in before.tags
    )


def _same_value(before: Any, after: Any) -> bool:
    """Compare numbers and fractions, which the writer shortens (1440 / 20 becomes 72 / 1)."""
    if isinstance(before, tuple) and isinstance(after, tuple):
        return bool(before[0] * after[1] == after[0] * before[1])
    return bool(before == after)

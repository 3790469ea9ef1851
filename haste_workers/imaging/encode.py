"""Smaller files: the same pixels by a better codec, or a derivative by a lossy operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tifffile import PHOTOMETRIC, TiffPage

from haste_core.errors import BadInputError
from haste_core.operators import Floodfill
from haste_workers.imaging.files import appearing_whole, as_image_errors, format_of
from haste_workers.imaging.image import MAX_BYTES, Pixels, UnreadableImageError, check_size
from haste_workers.imaging.png_chunks import (
    lines_of,
    png_chunks,
    png_file,
    png_header,
    unpacked_lines,
    with_lines,
)
from haste_workers.imaging.read import read_image
from haste_workers.imaging.tiff_rewriting import rewrite_tiff


def recompress(source: Path, target_dir: Path, *, max_bytes: int = MAX_BYTES) -> Path | None:
    """Write an image file anew with a better codec, losing nothing.

    A TIFF gets deflate with horizontal differences, which every reader knows; its pages, dtype and
    describing tags (description, OME-XML, resolution, date, software, private ones) stay. A PNG's
    lines are packed better; every other chunk stays. A JPEG is left alone: packing its pixels
    without loss makes it larger. So are other formats. What was written is read back and compared bit by bit.

    Parameters
    ----------
    source : pathlib.Path
        Is not changed.
    target_dir : pathlib.Path
        An existing folder. The new file has the source's name and appears there when it is
        complete; it is not synced to disk.
    max_bytes : int
        Limit of the decoded size of a page or picture.

    Returns
    -------
    pathlib.Path or None
        The new file; None if it would not be smaller, or could not keep all that the source holds.

    Raises
    ------
    UnreadableImageError
        The source is no image, damaged or not complete.
    ImageTooLargeError, ImageBombError
        It exceeds the limit when decoded, or unpacks out of all proportion.
    SourceMissingError, PermanentError, TransientError
        The source cannot be read; see `read_image`.
    """
    target = target_dir / source.name
    with as_image_errors(source), appearing_whole(target) as partial:
        kind = _format(source)
        if kind == "TIFF":
            whole = rewrite_tiff(source, partial, max_bytes=max_bytes)
        else:
            whole = kind == "PNG" and _repack_png(source, partial, max_bytes=max_bytes)
        return target if _worth_keeping(source, partial, whole=whole) else None


def floodfill_file(
    source: Path, target_dir: Path, operator: Floodfill, *, max_bytes: int = MAX_BYTES
) -> Path | None:
    """Write the flood-filled derivative of a greyscale TIFF or PNG.

    All planes are filled. The derivative keeps the source's format and describing tags or chunks,
    and says in its description that it is one, and by which operator.

    Parameters
    ----------
    source : pathlib.Path
        Is not changed.
    target_dir : pathlib.Path
        An existing folder. The new file has the source's name and appears there when it is
        complete; it is not synced to disk.
    operator : Floodfill
    max_bytes : int
        Limit of the decoded size of a page or picture.

    Returns
    -------
    pathlib.Path or None
        The derivative; None if it would not be smaller, or could not keep what describes the
        source.

    Raises
    ------
    BadInputError
        The source holds colour or signed pixels, or is a JPEG.
    UnreadableImageError, ImageTooLargeError, ImageBombError, SourceMissingError, PermanentError,
    TransientError
        As `recompress` does.
    """
    target = target_dir / source.name
    note = f"HASTE derivative, not original pixels: {operator.description}"
    with as_image_errors(source), appearing_whole(target) as partial:
        kind = _format(source)
        if kind == "TIFF":

            def fill(page: TiffPage, pixels: Pixels) -> Pixels:
                return _filled_page(page, pixels, operator)

            whole = rewrite_tiff(source, partial, change=fill, note=note, max_bytes=max_bytes)
        elif kind == "PNG":
            whole = _fill_png(source, partial, operator, note, max_bytes=max_bytes)
        else:
            raise BadInputError(_needs_grey(f"a {kind}"))
        return target if _worth_keeping(source, partial, whole=whole) else None


def _format(source: Path) -> str:
    with source.open("rb") as file:
        return format_of(file)


def _worth_keeping(source: Path, partial: Path, *, whole: bool) -> bool:
    """Keep what was written if it is whole and smaller; remove it otherwise."""
    worth = whole and partial.stat().st_size < source.stat().st_size
    if not worth:
        partial.unlink(missing_ok=True)
    return worth


def _repack_png(source: Path, target: Path, *, max_bytes: int) -> bool:
    chunks = png_chunks(source.read_bytes())
    header = png_header(chunks)
    check_size(header.packed_bytes, stored_bytes=source.stat().st_size, max_bytes=max_bytes)
    if any(kind == b"acTL" for kind, _ in chunks):
        raise UnreadableImageError("the PNG is an animation")
    lines = unpacked_lines(chunks)
    target.write_bytes(png_file(with_lines(chunks, lines)))
    return unpacked_lines(png_chunks(target.read_bytes())) == lines


def _filled_page(page: TiffPage, pixels: Pixels, operator: Floodfill) -> Pixels:
    grey = page.photometric == PHOTOMETRIC.MINISBLACK and page.samplesperpixel == 1
    if not grey or pixels.dtype.kind != "u":
        raise BadInputError(_needs_grey(f"{pixels.dtype} {PHOTOMETRIC(page.photometric).name}"))
    return operator.apply(pixels)


def _fill_png(source: Path, target: Path, operator: Floodfill, note: str, *, max_bytes: int) -> bool:
    image = read_image(source, max_bytes=max_bytes)
    chunks = png_chunks(source.read_bytes())
    header = png_header(chunks)
    if header.colour_type != 0 or header.bits not in (8, 16) or header.interlaced:
        raise BadInputError(_needs_grey(f"a PNG of {header.bits} bits, type {header.colour_type}"))
    filled = operator.apply(image.pixels)
    first, *rest = with_lines(chunks, lines_of(filled))
    target.write_bytes(png_file([first, (b"tEXt", b"Description\0" + note.encode()), *rest]))
    return np.array_equal(read_image(target, max_bytes=max_bytes).pixels, filled)


def _needs_grey(found: str) -> str:
    return (
        f"flood fill works on greyscale TIFF and PNG of 8 or 16 bits, this is {found}; export it "
        "so, or use the operator recompress"
    )

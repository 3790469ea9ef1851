"""Smaller files: the same pixels by a better codec, or a derivative by a lossy operator."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tifffile import PHOTOMETRIC, TiffPage

from haste_core.errors import BadInputError
from haste_core.operators import Operator, Recompress
from haste_workers.imaging.files import appearing_whole, as_image_errors, format_of
from haste_workers.imaging.image import MAX_BYTES, Pixels, UnreadableImageError
from haste_workers.imaging.jxl_boxes import decoded_jxl, kept_png
from haste_workers.imaging.packing import Packing
from haste_workers.imaging.png_rewriting import needs_grey, png_of, rewrite_png
from haste_workers.imaging.tiff_rewriting import rewrite_tiff
from haste_workers.operators import applied

_JXL_SUFFIX = ".jxl"


def write_smaller(
    source: Path,
    target_dir: Path,
    operator: Operator | None = None,
    packing: Packing | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Path | None:
    """Write an image file anew with a better codec, and its pixels as an operator changes them.

    A TIFF keeps its pages, dtype and describing tags (description, OME-XML, ICC profile, resolution, date,
    software, private ones), a PNG all its chunks; as a JPEG XL file it keeps them in a box of its own. A JPEG
    is left alone: packing its pixels without loss makes it larger. So are other formats. What a lossy
    operator made says in its description that it is a derivative, and by which operator. What was written is
    read back and compared bit by bit.

    Parameters
    ----------
    source : pathlib.Path
        Is not changed.
    target_dir : pathlib.Path
        An existing folder. The new file has the source's name, as JPEG XL with the suffix ``.jxl``, and
        appears there when it is complete; it is not synced to disk.
    operator : Operator, optional
        Works on every plane of a greyscale TIFF or PNG; by default `Recompress`, which takes all.
    packing : Packing, optional
        By default what every reader of the format knows, packed fast.
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
    BadInputError
        The operator cannot work on it: it holds colour, or is neither TIFF nor PNG.
    PermanentError
        The operator fails.
    ImageTooLargeError, ImageBombError
        It exceeds the limit when decoded, or unpacks out of all proportion.
    SourceMissingError, PermanentError, TransientError
        The source cannot be read; see `read_image`.
    """
    operator, packing = operator or Recompress(), packing or Packing()
    target = target_dir / source.name
    with as_image_errors(source), appearing_whole(target) as partial_target:
        whole = _write(source, partial_target, operator, packing, max_bytes=max_bytes)
        if not whole or partial_target.stat().st_size >= source.stat().st_size:
            partial_target.unlink(missing_ok=True)
            return None
        as_jxl = _format(partial_target) == "JPEG XL"
    return target.replace(target.with_suffix(_JXL_SUFFIX)) if as_jxl else target


def _write(source: Path, target: Path, operator: Operator, packing: Packing, *, max_bytes: int) -> bool:
    """Write the target, and tell whether it holds all that it should."""
    kind = _format(source)
    changes = not isinstance(operator, Recompress)
    note = None if operator.lossless else f"HASTE derivative, not original pixels: {operator.description}"
    if kind == "TIFF":
        of_page = partial(_changed_page, operator) if changes else None
        return rewrite_tiff(source, target, packing, change=of_page, note=note, max_bytes=max_bytes)
    if kind == "PNG":
        of_plane = partial(applied, operator) if changes else None
        return rewrite_png(source, target, packing, change=of_plane, note=note, max_bytes=max_bytes)
    if changes:
        raise BadInputError(needs_grey(f"a {kind}"))
    return False


def _format(source: Path) -> str:
    with source.open("rb") as file:
        return format_of(file)


def _changed_page(operator: Operator, page: TiffPage, pixels: Pixels) -> Pixels:
    if page.photometric != PHOTOMETRIC.MINISBLACK or page.samplesperpixel != 1:
        raise BadInputError(needs_grey(f"{pixels.dtype} {PHOTOMETRIC(page.photometric).name}"))
    return applied(operator, pixels)


def unpack_jxl(source: Path, target_dir: Path) -> Path:
    """Write the PNG again of which preprocessing has made a JPEG XL file.

    Parameters
    ----------
    source : pathlib.Path
    target_dir : pathlib.Path
        An existing folder, in which a file of the source's name with the suffix ``.png`` appears.

    Returns
    -------
    pathlib.Path
        A PNG of the same pixels, and the same chunks but for the packed pixels.

    Raises
    ------
    UnreadableImageError
        The file is damaged, or not one that preprocessing wrote.
    """
    target = target_dir / source.with_suffix(".png").name
    with as_image_errors(source), appearing_whole(target) as partial_target, source.open("rb") as file:
        kept = kept_png(file)
        if kept is None:
            raise UnreadableImageError("it is no JPEG XL file that keeps the parts of a PNG")
        partial_target.write_bytes(png_of(decoded_jxl(file), list(kept.chunks), Packing()))
    return target

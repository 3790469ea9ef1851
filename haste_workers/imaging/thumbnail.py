"""Thumbnails: a look at an image for people, never for measurements."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from haste_workers.imaging.image import Pixels

_DARK_PERCENTILE, _BRIGHT_PERCENTILE = 0.5, 99.8
"""Stretched from black to white: leaves out dead pixels and the glare of a few bright ones."""

_QUALITY = 80
_SMALL_QUALITIES = (70, 50, 30, 10)


def thumbnail_jpeg(pixels: Pixels, size_px: int) -> bytes:
    """Draw a small greyscale JPEG of an image, stretched so that a dim field is visible.

    Parameters
    ----------
    pixels : (M, N) array of a real dtype
    size_px : int
        Longer side of the thumbnail in pixels; a smaller image is not enlarged.

    Returns
    -------
    bytes
        A JPEG file.
    """
    return _jpeg(_drawn(pixels, size_px), _QUALITY)


def bounded_jpeg(pixels: Pixels, size_px: int, *, max_bytes: int) -> bytes | None:
    """Draw the same, as good as so many bytes allow; None where they do not suffice.

    Parameters
    ----------
    pixels : (M, N) array of a real dtype
    size_px : int
    max_bytes : int
    """
    picture = _drawn(pixels, size_px)
    files = (_jpeg(picture, quality) for quality in _SMALL_QUALITIES)
    return next((file for file in files if len(file) <= max_bytes), None)


def _drawn(pixels: Pixels, size_px: int) -> PIL.Image.Image:
    picture = PIL.Image.fromarray(_stretched(_reduced(pixels, size_px)))
    picture.thumbnail((size_px, size_px), PIL.Image.Resampling.BOX)
    return picture


def _jpeg(picture: PIL.Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _reduced(plane: Pixels, size_px: int) -> Pixels:
    """Average whole blocks down to less than twice the wanted size: fast, and free of moire."""
    side = max(1, max(plane.shape) // size_px)
    height, width = (max(1, n // side) for n in plane.shape)
    blocks = plane[: height * side, : width * side]
    step_h, step_w = blocks.shape[0] // height, blocks.shape[1] // width
    rows = blocks.reshape(height, step_h, -1).mean(axis=1, dtype=np.float64)
    reduced: Pixels = rows.reshape(height, width, step_w).mean(axis=2)
    return reduced


def _stretched(plane: Pixels) -> Pixels:
    """Map the percentiles to 0 and 255; what is not finite is drawn black."""
    finite = plane[np.isfinite(plane)]
    if finite.size == 0:
        return np.zeros(plane.shape, np.uint8)
    dark, bright = np.percentile(finite, [_DARK_PERCENTILE, _BRIGHT_PERCENTILE])
    contrast = bright - dark if bright > dark else 1.0
    levels = np.nan_to_num(np.clip((plane - dark) / contrast, 0, 1) * 255)
    picture: Pixels = levels.astype(np.uint8)
    return picture

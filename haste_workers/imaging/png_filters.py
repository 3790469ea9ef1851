"""The filter of a PNG's lines, chosen for the whole picture by trying it on some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Lines: TypeAlias = NDArray[np.uint8]
"""(M, B): lines and their bytes."""

_NONE, _LEFT, _ABOVE, _AVERAGE = range(4)

_FILTERS = (_NONE, _LEFT, _ABOVE, _AVERAGE)
"""Paeth's is left out: in NumPy it takes longer than all else, and the average beats it on camera noise."""

_BANDS, _BAND_LINES = 8, 16
"""Tried are so many bands of so many lines, spread over the picture."""


def packed_lines(lines: Lines, *, pixel_bytes: int, levels: Sequence[int]) -> bytes:
    """Filter and pack a picture's lines, by the filter and level that do best on a sample of them.

    One filter for all lines: choosing one for each takes longer than packing, and by the usual rule (least
    sum of differences) it is not better on images of a camera.

    Parameters
    ----------
    lines : (M, B) array of uint8
        Unfiltered; 16-bit samples have their high byte first.
    pixel_bytes : int
        Of a pixel, all its samples together.
    levels : sequence of int
        Of libdeflate, 1 to 12, from which to choose.

    Returns
    -------
    bytes
        A zlib stream of each line behind the number of its filter, as a PNG holds it.

    References
    ----------
    .. [1] W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", section 9.
    """
    samples = {kind: _sample(lines, kind, pixel_bytes) for kind in _FILTERS}
    kind = min(_FILTERS, key=lambda kind: len(deflated(samples[kind], levels[0])))
    level = min(levels, key=lambda level: len(deflated(samples[kind], level))) if levels[1:] else levels[0]
    return deflated(_numbered(_differences(lines, kind, pixel_bytes), kind), level)


def deflated(content: bytes, level: int) -> bytes:
    """Pack bytes as a zlib stream, at a level of libdeflate (1 to 12)."""
    return bytes(imagecodecs.deflate_encode(content, level=level, raw=False))


def _sample(lines: Lines, kind: int, pixel_bytes: int) -> bytes:
    starts = range(0, len(lines), max(len(lines) // _BANDS, _BAND_LINES + 1))
    # The first line of a band is there for the second.
    bands = [lines[start : start + _BAND_LINES + 1] for start in starts]
    return b"".join(_differences(band, kind, pixel_bytes)[1:].tobytes() for band in bands)


def _numbered(differences: Lines, kind: int) -> bytes:
    height, width = differences.shape
    numbered = np.empty((height, width + 1), np.uint8)
    numbered[:, 0] = kind
    numbered[:, 1:] = differences
    return numbered.tobytes()


def _differences(lines: Lines, kind: int, pixel_bytes: int) -> Lines:
    """Subtract from each byte what the filter expects there; all is modulo 256."""
    if kind == _NONE:
        return lines
    left, above = np.zeros_like(lines), np.zeros_like(lines)
    left[:, pixel_bytes:] = lines[:, :-pixel_bytes]
    above[1:] = lines[:-1]
    if kind == _LEFT:
        return lines - left
    if kind == _ABOVE:
        return lines - above
    # The mean rounded down, without a ninth bit.
    return lines - ((left & above) + ((left ^ above) >> 1))

"""Where each page of a TIFF stands in its acquisition, by what the program that wrote it has noted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tifffile import TiffFile, TiffPageSeries

from haste_workers.imaging.formats.ome import DescribedPage, described_pages
from haste_workers.imaging.formats.units import in_micrometres, pixel_size
from haste_workers.imaging.image import Metadata, Position

_AXES = {"T": "time", "C": "channel", "Z": "z", "P": "scene", "R": "scene"}
"""Axes of tifffile; all others count as planes of a focus series."""


def page_descriptions(tiff: TiffFile) -> dict[int, DescribedPage]:
    """Tell position and metadata of the pages of a TIFF.

    Parameters
    ----------
    tiff : tifffile.TiffFile

    Returns
    -------
    dict of int to DescribedPage
        By the page's number from 0; pages of which nothing is known are missing.
    """
    if tiff.is_ome:
        return described_pages(tiff.ome_metadata or "", pages=len(tiff.pages))
    metadata = imagej_metadata(tiff) if tiff.is_imagej else Metadata()
    described = {}
    for series in own_series(tiff):
        outer = len(series.pages)
        axes, shape = outer_axes(series.axes, series.shape, planes=outer)
        for index, page in enumerate(series.pages):
            if page is not None:
                described[page.index] = DescribedPage(position_of(axes, shape, index), metadata)
    return described


def own_series(tiff: TiffFile) -> list[TiffPageSeries]:
    """List what tifffile makes of the pages of a TIFF, where it looks at no other file.

    Parameters
    ----------
    tiff : tifffile.TiffFile

    Returns
    -------
    list of tifffile.TiffPageSeries
        None of OME-TIFF, which is read by `described_pages`, or of Micro-Manager's own stacks: tifffile would
        open whatever other files these name, and number their pages in one row.
    """
    return [] if tiff.is_ome or tiff.is_micromanager else list(tiff.series)


def outer_axes(axes: str, shape: Sequence[int], *, planes: int) -> tuple[str, tuple[int, ...]]:
    """Leave out the axes that lie within one plane or page.

    Parameters
    ----------
    axes : str
        A letter for each axis of `shape`.
    shape : sequence of int
    planes : int
        Product of the axes to be kept.

    Returns
    -------
    axes : str
    shape : tuple of int
        Empty if they do not have that product.
    """
    for kept in range(len(shape) + 1):
        if np.prod(shape[:kept], dtype=np.int64) == planes:
            return axes[:kept], tuple(shape[:kept])
    return "", ()


def position_of(axes: str, shape: Sequence[int], index: int) -> Position:
    """Tell the position of a plane by its number in the file.

    Parameters
    ----------
    axes : str
        The slowest first.
    shape : sequence of int
        If it is empty, the planes are those of a focus series.
    index : int

    Returns
    -------
    Position
    """
    if not shape:
        return Position(z=index)
    numbers = np.unravel_index(index, shape)
    return Position.along(
        (_AXES.get(axis, "z"), int(number), size)
        for axis, size, number in zip(axes, shape, numbers, strict=True)
    )


def imagej_metadata(tiff: TiffFile) -> Metadata:
    """Read the size of a pixel that ImageJ has noted.

    Parameters
    ----------
    tiff : tifffile.TiffFile

    Returns
    -------
    Metadata
    """
    tags = tiff.pages.first.tags
    unit = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
    across, down = (_length(tags.valueof(code)) for code in (282, 283))
    height, width = in_micrometres(down, unit), in_micrometres(across, unit)
    return Metadata(pixel_size_um=pixel_size(height, width))


def _length(pixels_per_unit: Any) -> float | None:
    """Turn a resolution, a fraction of two integers, into the length of a pixel."""
    if not isinstance(pixels_per_unit, tuple) or not pixels_per_unit[0]:
        return None
    numerator, denominator = pixels_per_unit
    return float(denominator / numerator)

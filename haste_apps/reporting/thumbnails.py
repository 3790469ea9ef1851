"""Small pictures of images, where their files can be read on this machine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from haste_client.answers import ImageAnswer, PipelineAnswer
from haste_core.errors import HasteError
from haste_core.routing import OutsideRootsError, Roots, path_from_file_url

THUMBNAIL_PX = 160

Thumbnail = Callable[[ImageAnswer], bytes | None]
"""Makes a JPEG of an image; None if it cannot be read here."""

Item = TypeVar("Item")


def thumbnails(roots: Roots, pipeline: PipelineAnswer) -> Thumbnail:
    """Make a function that draws images from where they are now, or else from where they came from.

    Parameters
    ----------
    roots : Roots
        The folders of this machine by the names that the server's workers know.
    pipeline : PipelineAnswer
        Of a file with several planes, that is drawn which was measured.
    """
    planes = _planes(pipeline)

    def draw(image: ImageAnswer) -> bytes | None:
        for path in _paths(image, roots):
            try:
                return _jpeg(path, planes)
            except (HasteError, OSError):
                # The image was scored; that it cannot be drawn now (a NAS that is away) spoils no report.
                continue
        return None

    return draw


def as_base64(jpeg: bytes | None) -> str:
    """Write a picture as text for a page; '' for none."""
    return "" if jpeg is None else base64.b64encode(jpeg).decode()


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Choose up to `count` items at even distances, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(number * (len(items) - 1) / (count - 1))] for number in range(count)]


def _paths(image: ImageAnswer, roots: Roots) -> Iterator[Path]:
    place, size_bytes = image.place, image.place.size_bytes if image.place else None
    present = _path(place.url, roots) if place else None
    if present is not None and (size_bytes is None or _has(present, size_bytes)):
        yield present
    source = _path(image.source_url, roots)
    if source is not None and source != present:
        yield source


def _has(path: Path, size_bytes: int) -> bool:
    """Tell whether a file of that size is there: the same path may be another machine's file."""
    try:
        return path.is_dir() or path.stat().st_size == size_bytes
    except OSError:
        return False


def _path(url: str, roots: Roots) -> Path | None:
    try:
        return Path(path_from_file_url(url)) if url.startswith("file:") else Path(roots.path_of(url))
    except (OutsideRootsError, ValueError):
        return None


def _planes(pipeline: PipelineAnswer) -> dict[str, Any]:
    measured_by = (pipeline.interestingness or {}).get("features_from", "")
    given = pipeline.parameters.get(measured_by) or {}
    return {name: given[name] for name in ("channel", "z", "time", "scene") if name in given}


def _jpeg(path: Path, planes: Mapping[str, Any]) -> bytes:
    from haste_workers.imaging.read import read_image
    from haste_workers.imaging.thumbnail import thumbnail_jpeg

    return thumbnail_jpeg(read_image(path, **planes).pixels, THUMBNAIL_PX)

"""OME-XML: where each page of an OME-TIFF stands in its acquisition, and how it was taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from haste_workers.imaging.formats.units import in_micrometres, pixel_size, stage_position
from haste_workers.imaging.image import Metadata, Position, check_count

_NAMESPACE = re.compile(r"\{[^}]*\}")
_AXES = {"T": "time", "C": "channel", "Z": "z"}


@dataclass(frozen=True)
class DescribedPage:
    """What OME-XML says of one page."""

    position: Position
    metadata: Metadata


def described_pages(xml: str, *, pages: int) -> dict[int, DescribedPage]:
    """Read what OME-XML says of the pages of the file that it stands in.

    Parameters
    ----------
    xml : str
        Of the tag ImageDescription of the first page.
    pages : int
        How many pages the file has.

    Returns
    -------
    dict of int to DescribedPage
        By the page's number from 0. Empty if the text is no OME-XML or describes other files only.

    Raises
    ------
    UnreadableImageError
        It lists pages over and over.

    References
    ----------
    "The OME-TIFF format, version 6.3", OME consortium: elements Pixels, Channel, Plane and TiffData.
    """
    # OME-XML needs no document type; entities of one could unpack without end.
    if "<!DOCTYPE" in xml:
        return {}
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - without document type there are no entities
        listed = (
            told
            for scene, image in enumerate(_children(root, "Image"))
            for told in _of_image(scene, image, own_uuid=root.get("UUID"), pages=pages)
        )
        described = {}
        for number, (page, told) in enumerate(listed, 1):
            check_count(number)  # each of many elements may list all pages
            described[page] = told
    except (ElementTree.ParseError, ValueError):
        return {}
    return described


def _of_image(
    scene: int, image: ElementTree.Element, *, own_uuid: str | None, pages: int
) -> Iterator[tuple[int, DescribedPage]]:
    pixels = next(_children(image, "Pixels"), None)
    if pixels is None:
        return
    shared = Metadata(
        channel_names=tuple(
            channel.get("Name") or channel.get("ID") or "" for channel in _children(pixels, "Channel")
        ),
        pixel_size_um=_pixel_size_um(pixels),
        acquired=next((date.text for date in _children(image, "AcquisitionDate")), None),
    )
    stages = {_plane_position(scene, plane): _stage_um(plane) for plane in _children(pixels, "Plane")}
    for page, position in _pages(scene, pixels, own_uuid=own_uuid, pages=pages):
        yield page, DescribedPage(position, replace(shared, stage_um=stages.get(position)))


def _pages(
    scene: int, pixels: ElementTree.Element, *, own_uuid: str | None, pages: int
) -> Iterator[tuple[int, Position]]:
    """Give each page of this file its position, as the elements TiffData say."""
    order = [axis for axis in pixels.get("DimensionOrder", "XYCZT") if axis in _AXES]
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in _AXES}
    samples = next((int(c.get("SamplesPerPixel", 1)) for c in _children(pixels, "Channel")), 1)
    sizes["C"] = max(1, sizes["C"] // max(1, samples))
    for data in _children(pixels, "TiffData"):
        uuid = next(_children(data, "UUID"), None)
        if uuid is not None and own_uuid is not None and (uuid.text or "").strip() != own_uuid:
            continue
        ifd = data.get("IFD")
        count = int(data.get("PlaneCount", pages if ifd is None else 1))
        first_page = int(ifd or 0)
        start = 0
        for axis in reversed(order):
            start = start * sizes[axis] + int(data.get(f"First{axis}", 0))
        for page in range(first_page, min(first_page + count, pages)):
            position = {}
            left = start + page - first_page
            for axis in order:
                left, position[_AXES[axis]] = divmod(left, max(1, sizes[axis]))
            yield page, Position(scene=scene, **position)


def _plane_position(scene: int, plane: ElementTree.Element) -> Position:
    numbers = {name: int(plane.get(f"The{axis}", 0)) for axis, name in _AXES.items()}
    return Position(scene=scene, **numbers)


def _pixel_size_um(pixels: ElementTree.Element) -> tuple[float, float] | None:
    height, width = (
        in_micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "YX"
    )
    return pixel_size(height, width)


def _stage_um(plane: ElementTree.Element) -> tuple[float, ...] | None:
    x, y, z = (
        in_micrometres(plane.get(f"Position{axis}"), plane.get(f"Position{axis}Unit", "µm")) for axis in "XYZ"
    )
    return stage_position(x, y, z)


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Iterate over children by name, in any version of the schema."""
    return (child for child in element if _NAMESPACE.sub("", child.tag) == name)

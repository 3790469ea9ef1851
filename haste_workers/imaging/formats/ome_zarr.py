"""OME-Zarr folders: every plane of every image in full resolution, read chunk by chunk."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from haste_workers.imaging.formats.extras import needing
from haste_workers.imaging.formats.units import in_micrometres
from haste_workers.imaging.formats.zarr_chunks import Storage, array_metadata, check_chunks, storage_of
from haste_workers.imaging.image import (
    MAX_BYTES,
    Metadata,
    OpenImage,
    Pixels,
    Plane,
    Position,
    UnreadableImageError,
    check_count,
    check_size,
    declared_bytes,
)

if TYPE_CHECKING:
    import zarr

_GROUP_FILES = ("zarr.json", ".zattrs")

_AXES = {"t": "time", "time": "time", "c": "channel", "channel": "channel"}
"""By name and by type; all others but the last two count as planes of a focus series."""


@dataclass(frozen=True)
class _Image:
    """One image of a folder: its largest array, and what is told of it."""

    array: zarr.Array[Any]
    folder: Path
    storage: Storage
    axes: tuple[str, ...]
    metadata: Metadata


def is_zarr_folder(path: Path) -> bool:
    """Tell whether a path is a folder of Zarr's version 2 or 3.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bool
    """
    return any((path / name).is_file() for name in (*_GROUP_FILES, ".zgroup", ".zarray"))


@contextmanager
def open_ome_zarr(path: Path) -> Iterator[OpenImage]:
    """Open an OME-Zarr folder of version 0.4 or 0.5.

    Parameters
    ----------
    path : pathlib.Path
        An image, a well or a plate, or what bioformats2raw has written.

    Yields
    ------
    OpenImage
        Each image is a scene: each field of each well of a plate, in the order of its metadata. Reduced
        copies and labels are left out. A plane of which a chunk is missing raises an error when it is
        decoded, also where Zarr would take it for zeros.

    Raises
    ------
    UnreadableImageError
        The folder has no OME metadata, is not complete, or has arrays that cannot be read safely.
    PermanentError
        The extra ``zarr`` is not installed here.
    """
    with needing("zarr", "an OME-Zarr folder"):
        import zarr  # noqa: F401 - before it is needed
    # zarr warns of what is newer than itself; what it cannot read, it raises.
    with warnings.catch_warnings(action="ignore"):
        images = list(_each_once(image for folder in _image_folders(path) for image in _images(folder)))
    check_count(sum(math.prod(image.array.shape[:-2]) for image in images))
    dtype = images[0].array.dtype
    yield OpenImage(
        format="OME-Zarr",
        dtype=dtype.name,
        bits=8 * dtype.itemsize,
        colour=False,
        planes=tuple(plane for scene, image in enumerate(images) for plane in _planes(scene, image)),
    )


def _image_folders(root: Path) -> Iterator[Path]:
    told = _attributes(root)
    if "multiscales" in told:
        yield root
    elif "plate" in told:
        for well in told["plate"]["wells"]:
            yield from _fields(_below(root, well["path"]))
    elif "well" in told:
        yield from _fields(root)
    elif "bioformats2raw.layout" in told:
        names = _attributes(root / "OME").get("series") if (root / "OME").is_dir() else None
        yield from (_below(root, name) for name in names or _numbered(root))
    else:
        raise UnreadableImageError(
            "the Zarr folder tells of no image (OME metadata, multiscales); submit the folder of an OME-Zarr "
            "image, well or plate"
        )


def _each_once(images: Iterable[_Image]) -> Iterator[_Image]:
    seen: set[Path] = set()
    for image in images:
        if image.folder in seen:
            raise UnreadableImageError(f"its metadata name the array {image.folder.name!r} twice")
        seen.add(image.folder)
        yield image


def _fields(well: Path) -> Iterator[Path]:
    return (_below(well, field["path"]) for field in _attributes(well)["well"]["images"])


def _numbered(root: Path) -> list[str]:
    return sorted((path.name for path in root.iterdir() if path.name.isdecimal()), key=int)


def _attributes(group: Path) -> dict[str, Any]:
    """Read what a group says of itself, in either version."""
    for name in _GROUP_FILES:
        if (group / name).is_file():
            told = json.loads((group / name).read_bytes())
            attributes: dict[str, Any] = told.get("attributes", {}) if name == "zarr.json" else told
            ome: dict[str, Any] = attributes.get("ome", attributes)
            return ome
    raise UnreadableImageError(
        f"the group {group.name!r} is not there; was it still being written or copied?"
    )


def _below(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if ".." in path.parts or path.is_absolute():
        raise UnreadableImageError(f"its metadata lead out of the folder, to {name!r}")
    return folder.joinpath(*path.parts)


def _images(group: Path) -> Iterator[_Image]:
    import zarr

    told = _attributes(group)
    for multiscale in told["multiscales"]:
        axes = multiscale.get("axes")
        if not axes or not isinstance(axes[0], dict):
            raise UnreadableImageError("its OME-Zarr is older than version 0.4; convert it")
        dataset = multiscale["datasets"][0]
        folder = _below(group, dataset["path"])
        metadata = array_metadata(folder)
        array = zarr.open_array(store=folder, mode="r")
        names = tuple(str(axis["name"]).casefold() for axis in axes)
        if names[-2:] != ("y", "x") or len(names) != array.ndim or array.dtype.kind not in "buif":
            raise UnreadableImageError(
                f"its array of {array.dtype} with the axes {', '.join(names)} has no planes of grey levels; "
                "the last two axes should be y and x"
            )
        if math.prod(array.chunks) * array.dtype.itemsize > MAX_BYTES:
            raise UnreadableImageError("its chunks are too large; store it with chunks of some megabytes")
        kinds = tuple(
            _AXES.get(str(axis.get("type")), _AXES.get(name, "z"))
            for axis, name in zip(axes, names, strict=True)
        )
        yield _Image(array, folder, storage_of(metadata), kinds[:-2], _metadata(told, multiscale, dataset))


def _metadata(told: Mapping[str, Any], multiscale: Mapping[str, Any], dataset: Mapping[str, Any]) -> Metadata:
    steps = [_scale(dataset)[-2:], _scale(multiscale)[-2:]]
    sides = [
        in_micrometres(math.prod(step[side] for step in steps if step), str(axis.get("unit", "")))
        for side, axis in enumerate(multiscale["axes"][-2:])
    ]
    channels = (told.get("omero") or {}).get("channels", ())
    names = tuple(str(channel.get("label") or "") for channel in channels)
    return Metadata(
        channel_names=names if any(names) else (),
        pixel_size_um=(sides[0], sides[1]) if sides[0] and sides[1] else None,
    )


def _scale(described: Mapping[str, Any]) -> Sequence[float]:
    for transformation in described.get("coordinateTransformations") or ():
        if transformation.get("type") == "scale":
            return [float(factor) for factor in transformation["scale"]]
    return ()


def _planes(scene: int, image: _Image) -> Iterator[Plane]:
    *outer, height, width = image.array.shape
    plane_bytes = declared_bytes((height, width), image.array.dtype)
    for numbers in np.ndindex(*outer):
        position = Position.along([("scene", scene, 1), *zip(image.axes, numbers, outer, strict=True)])
        yield Plane(
            decode=partial(_decoded, image, numbers, plane_bytes),
            decoded_bytes=plane_bytes,
            # Its chunks are looked at when it is decoded; there may be many thousands in a folder.
            stored_bytes=plane_bytes,
            position=position,
            metadata=image.metadata,
        )


def _decoded(image: _Image, numbers: tuple[int, ...], plane_bytes: int) -> Pixels:
    stored_bytes = check_chunks(image.array, image.folder, image.storage, numbers)
    check_size(plane_bytes, stored_bytes=stored_bytes, max_bytes=plane_bytes)
    pixels: Pixels = np.asarray(image.array[numbers])
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)

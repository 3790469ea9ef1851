"""OME-Zarr folders, written by zarr."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

AXES = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    "c": {"name": "c", "type": "channel"},
    "z": {"name": "z", "type": "space", "unit": "micrometer"},
    "y": {"name": "y", "type": "space", "unit": "micrometer"},
    "x": {"name": "x", "type": "space", "unit": "micrometer"},
}


def write_group(path: Path, zarr_format: int, told: dict[str, Any]) -> zarr.Group:
    """Write a group with OME metadata, as version 0.4 (in Zarr 2) or 0.5 (in Zarr 3)."""
    group = zarr.open_group(store=path, mode="a", zarr_format=zarr_format)
    group.attrs.update(told if zarr_format == 2 else {"ome": {"version": "0.5", **told}})
    return group


def write_image(
    path: Path,
    pixels: NDArray[Any],
    axes: str,
    *,
    zarr_format: int = 3,
    chunks: tuple[int, ...] | None = None,
    more: dict[str, Any] | None = None,
    **array: Any,
) -> Path:
    """Write one image with a reduced copy; each plane is one chunk unless `chunks` say otherwise."""
    datasets = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [factor * 0.5] * len(axes)}]}
        for name, factor in (("0", 1), ("1", 2))
    ]
    multiscale = {"version": "0.4", "axes": [AXES[axis] for axis in axes], "datasets": datasets}
    group = write_group(path, zarr_format, {"multiscales": [multiscale], **(more or {})})
    options = {"config": {"write_empty_chunks": True}, "fill_value": 0, **array}
    for name, level in (("0", pixels), ("1", pixels[..., ::2, ::2])):
        fitting = chunks or (*(1,) * (pixels.ndim - 2), *pixels.shape[-2:])
        stored = group.create_array(name, shape=level.shape, dtype=level.dtype, chunks=fitting, **options)
        stored[...] = level
    return path


def chunk_files(array: Path) -> list[Path]:
    """List the files of an array that hold its chunks."""
    return sorted(path for path in array.rglob("*") if path.is_file() and path.name not in _METADATA)


_METADATA = {"zarr.json", ".zarray", ".zattrs", ".zgroup"}


def noise(*shape: int, dtype: str = "uint16") -> NDArray[Any]:
    """Return levels that do not repeat."""
    return np.random.default_rng(shape).integers(1, np.iinfo(dtype).max, shape, dtype)

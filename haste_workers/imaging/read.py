"""Read an image file, whatever its name says it is, and say what is wrong if it is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from haste_workers.fetching import ANYWHERE, Access, local_file
from haste_workers.imaging.choosing import Choice, chosen_planes, projected, sharpest
from haste_workers.imaging.files import as_image_errors, format_of
from haste_workers.imaging.formats.czi import open_czi
from haste_workers.imaging.formats.dm import open_dm
from haste_workers.imaging.formats.jxl import open_jxl
from haste_workers.imaging.formats.lif import open_lif
from haste_workers.imaging.formats.mdoc import with_mdoc
from haste_workers.imaging.formats.mrc import open_mrc
from haste_workers.imaging.formats.nd2 import open_nd2
from haste_workers.imaging.formats.ome_zarr import is_zarr_folder, open_ome_zarr
from haste_workers.imaging.formats.pictures import open_jpeg, open_png
from haste_workers.imaging.formats.tiff import open_tiff
from haste_workers.imaging.image import (
    MAX_BYTES,
    Facts,
    Image,
    ImageTooLargeError,
    OpenImage,
    Plane,
    check_size,
)

_OPENERS: Mapping[str, Callable[[Path], AbstractContextManager[OpenImage]]] = {
    "TIFF": open_tiff,
    "PNG": open_png,
    "JPEG": open_jpeg,
    "JPEG XL": open_jxl,
    "CZI": open_czi,
    "ND2": open_nd2,
    "LIF": open_lif,
    "MRC": open_mrc,
    "DM3": open_dm,
    "DM4": open_dm,
    "OME-Zarr": open_ome_zarr,
}

_OF_SERIAL_EM = ("MRC", "TIFF")


@contextmanager
def open_image(path: Path) -> Iterator[OpenImage]:
    """Open an image file and read its header.

    Parameters
    ----------
    path : pathlib.Path
        A local file of a format that `read_image` reads.

    Yields
    ------
    OpenImage

    Raises
    ------
    UnreadableImageError, SourceMissingError, PermanentError, TransientError
        As `read_image` does; also while planes are decoded.
    """
    with as_image_errors(path), _OPENERS[_format(path)](path) as image:
        yield with_mdoc(image, path) if image.format in _OF_SERIAL_EM else image


def _format(path: Path) -> str:
    if is_zarr_folder(path):
        return "OME-Zarr"
    with path.open("rb") as file:
        return format_of(file)


def read_image(
    source: str | Path,
    *,
    channel: int | str | None = None,
    z: int | Literal["best", "max"] = "best",
    time: int | None = None,
    scene: int | None = None,
    max_bytes: int = MAX_BYTES,
    access: Access = ANYWHERE,
) -> Image:
    """Read the plane that speaks for an image file, as grey levels.

    Of a file with several planes, those that are chosen are decoded one by one, and the sharpest of those
    with signal speaks. Nothing is left out silently: `Image.facts` tell which plane it is, and of how many.

    Parameters
    ----------
    source : str or pathlib.Path
        A TIFF (also BigTIFF, OME-TIFF, ImageJ and MetaMorph stacks), PNG, JPEG, JPEG XL, MRC, DM3 or DM4
        file; with the extra ``bioio`` CZI, ND2 and LIF, with ``zarr`` a folder of OME-Zarr. What it is is
        told by its content, not by its name. An mdoc file of SerialEM beside an MRC or TIFF adds what it
        tells. A path, or a URL as `local_file` takes it, but handlers pass ``context.source_path()``, which
        keeps to what the worker's settings allow.
    channel, z, time, scene : optional
        As of `Choice`.
    max_bytes : int
        Limit of the decoded size of all chosen planes, checked before anything is decoded.
    access : Access
        What ``root://`` names, from where URLs may be fetched, and the limit of the file's size.

    Returns
    -------
    Image
        Complete: a file of which a part is missing or damaged is an error.

    Raises
    ------
    UnreadableImageError
        The file is no such image, is damaged or not complete.
    ImageTooLargeError
        The chosen planes are larger than `max_bytes` when decoded.
    ImageBombError
        A plane unpacks out of all proportion.
    BadInputError
        The file has no such channel, plane, time point or scene.
    SourceMissingError
        There is no such file.
    SourceDeniedError
        The URL's folder is not known, or its server refuses.
    PermanentError
        This worker may not read the file, or lacks the extra that its format needs, or the file's server
        does not answer as it should.
    TransientError
        The file's drive or server is in trouble.
    MemoryError
        This process may not take as much memory as the image needs.
    """
    choice = Choice(channel=channel, z=z, time=time, scene=scene)
    with local_file(source, access) as path, open_image(path) as image:
        planes = chosen_planes(image, choice)
        _check_sizes(planes, max_bytes=max_bytes)
        plane, pixels = sharpest(projected(planes) if z == "max" else planes)
    facts = Facts(
        format=image.format,
        dtype=image.dtype,
        bits=image.bits,
        colour=image.colour,
        planes=len(image.planes),
        position=plane.position,
        projected=z == "max",
        metadata=plane.metadata,
    )
    return Image(pixels=pixels, facts=facts)


def _check_sizes(planes: list[Plane], *, max_bytes: int) -> None:
    for plane in planes:
        check_size(plane.decoded_bytes, stored_bytes=plane.stored_bytes, max_bytes=max_bytes)
    decoded_bytes = sum(plane.decoded_bytes // plane.decoded_together for plane in planes)
    if decoded_bytes > max_bytes:
        raise ImageTooLargeError(decoded_bytes, max_bytes)

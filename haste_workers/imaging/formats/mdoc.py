"""The mdoc files that SerialEM writes beside its images: how each of them was taken."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PureWindowsPath

from haste_workers.imaging.formats.units import in_micrometres, pixel_size, stage_position
from haste_workers.imaging.image import Metadata, OpenImage, Plane

_MAX_BYTES = 16_000_000
"""A section has 1 to 2 kB, a large montage some thousand sections."""

_SECTION = re.compile(r"\[\s*(\w+)\s*=([^\]]*)\]")
_KEYS = ("PixelSpacing", "StagePosition", "StageZ", "DateTime")
_DATES = ("%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S")

_Entries = dict[str, str]


def with_mdoc(image: OpenImage, path: Path) -> OpenImage:
    """Add what an mdoc file beside an image tells, where the image itself does not.

    Parameters
    ----------
    image : OpenImage
    path : pathlib.Path
        Of the image; beside ``a.mrc`` stands ``a.mrc.mdoc`` or ``a.mdoc``. One that is missing, unreadable,
        a link, larger than 16 MB or no mdoc tells nothing.

    Returns
    -------
    OpenImage
        A section ``ZValue`` tells of the plane with that number, ``FrameSet``, and ``Image`` with the file's
        name, of all; what stands before the sections tells of all, too.

    References
    ----------
    "File Formats", SerialEM user's guide: image metadata files.
    """
    text = _sidecar(path)
    if text is None:
        return image
    shared, sections = _entries(text, path.name, {str(plane.position.z) for plane in image.planes})
    everywhere = _metadata(shared)
    told = {number: _metadata({**shared, **entries}) for number, entries in sections.items() if entries}
    planes = (_complemented(plane, told.get(str(plane.position.z), everywhere)) for plane in image.planes)
    return replace(image, planes=tuple(planes))


def _sidecar(path: Path) -> str | None:
    for sidecar in (path.with_name(f"{path.name}.mdoc"), path.with_suffix(".mdoc")):
        # It only adds to the image: no trouble with it may keep the image from being read.
        with contextlib.suppress(OSError, ValueError):
            if sidecar.is_symlink() or not sidecar.is_file():
                continue
            with sidecar.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            return content.decode(errors="replace") if len(content) <= _MAX_BYTES else None
    return None


def _entries(text: str, name: str, numbers: Iterable[str]) -> tuple[_Entries, Mapping[str, _Entries]]:
    """Sort the lines ``key = value`` by the planes that they tell of: all of them, or one."""
    shared: _Entries = {}
    sections: dict[str, _Entries] = {number: {} for number in numbers}
    current = shared
    for line in io.StringIO(text):
        key, equals, value = line.partition("=")
        if not line.startswith("["):
            if equals and key.strip() in _KEYS:
                current[key.strip()] = value.strip()
            continue
        kind, of = section.groups() if (section := _SECTION.match(line)) else ("", "")
        of = of.strip()
        if kind == "ZValue":
            current = sections.get(of, {})
        elif kind == "FrameSet" or (kind == "Image" and PureWindowsPath(of).name == name):
            current = shared
        elif kind != "T":  # a title
            current = {}
    return shared, sections


def _metadata(entries: _Entries) -> Metadata:
    side = in_micrometres(entries.get("PixelSpacing"), "Å")
    stage = [*entries.get("StagePosition", "").split(), "", ""]
    x, y, z = (in_micrometres(number, "µm") for number in (*stage[:2], entries.get("StageZ")))
    return Metadata(
        pixel_size_um=pixel_size(side, side),
        acquired=_acquired(entries.get("DateTime", "")),
        stage_um=stage_position(x, y, z),
    )


def _acquired(text: str) -> str | None:
    for date in _DATES:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, date).isoformat()
    return None


def _complemented(plane: Plane, told: Metadata) -> Plane:
    own = plane.metadata
    return replace(
        plane,
        metadata=replace(
            own,
            pixel_size_um=own.pixel_size_um or told.pixel_size_um,
            acquired=own.acquired or told.acquired,
            stage_um=own.stage_um or told.stage_um,
        ),
    )

"""File names for objects: what a source is called may be hostile, the name of its copy is not."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

_MAX_NAME_BYTES = 800  # S3 and Swift allow 1024; a prefix and a mark must still fit
_MAX_SEGMENT_BYTES = 200  # file systems allow 255; a suffix and a hash must still fit
_MAX_SEGMENTS = 32
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"*:<>?|%]|[\ud800-\udfff]')
# Windows and SMB shares cannot hold these names, whatever their extension.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def object_name(source_id: str, *, suffix: str = "") -> PurePosixPath:
    """Make a relative path from a source id that stays below any folder it is joined to.

    An ordinary id such as ``plate7/A01_s1.tif`` stays as it is. What could leave the folder, or be refused by
    a file system or a share, is percent-encoded; what is too long is cut and marked with a hash of the whole.

    Parameters
    ----------
    source_id : str
    suffix : str
        File name extension of the data, with its dot; added where the id does not end with it.

    Returns
    -------
    PurePosixPath
        At least one segment; never absolute, never with ``..``.
    """
    segments = [segment for segment in re.split(r"[/\\]", source_id) if segment not in ("", ".")] or ["_"]
    if len(segments) > _MAX_SEGMENTS:
        segments = [*segments[: _MAX_SEGMENTS - 1], "_".join(segments[_MAX_SEGMENTS - 1 :])]
    *folders, name = segments
    if not _SUFFIX.fullmatch(suffix):
        suffix = ""
    stem = name[: -len(suffix)] if suffix and name.lower().endswith(suffix.lower()) else name
    ending = name[len(stem) :] or suffix
    return PurePosixPath(*(_segment(folder) for folder in folders), _segment(stem or "_", ending))


def stored_name(stream_id: str, source_id: str, *, suffix: str) -> PurePosixPath:
    """Name an object in a tier: ``<stream_id>/<source_id>``, with its data's suffix, 800 bytes at most."""
    name = str(object_name(stream_id) / object_name(source_id, suffix=suffix))
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return PurePosixPath(name)
    ending = f"~{hashlib.sha256(name.encode()).hexdigest()[:16]}{PurePosixPath(name).suffix[:11]}"
    kept = name.encode()[: _MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    return PurePosixPath(kept.rstrip("/") + ending)


def marked(name: PurePosixPath, mark: str) -> PurePosixPath:
    """Put a mark before the extension: ``a/b.tif`` becomes ``a/b~mark.tif``."""
    return name.with_name(f"{name.stem}~{mark}{name.suffix}")


def _segment(text: str, ending: str = "") -> str:
    safe = _UNSAFE.sub(_percent_encoded, text) + ending
    if safe in (".", ".."):
        safe = safe.replace(".", "%2e")
    if safe[-1] in ". ":
        safe = safe[:-1] + f"%{ord(safe[-1]):02x}"
    if _DEVICE.fullmatch(safe):
        safe = f"%{ord(safe[0]):02x}{safe[1:]}"
    if len(safe.encode()) <= _MAX_SEGMENT_BYTES:
        return safe
    digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
    kept = safe.encode()[: _MAX_SEGMENT_BYTES - len(ending) - len(digest) - 1].decode(errors="ignore")
    return f"{kept}~{digest}{ending}"


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02x}" for byte in match[0].encode(errors="surrogatepass"))

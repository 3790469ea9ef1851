"""File names for objects: what a source is called may be hostile, the name of its copy is not."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import unquote

from haste_core.windows_paths import is_device

_MAX_NAME_BYTES = 800  # S3 and Swift allow 1024; a prefix and a mark must still fit
_MAX_SEGMENT_BYTES = 200  # file systems allow 255; a suffix and a hash must still fit
_MAX_SEGMENTS = 32
_MARK = re.compile(r"~[0-9a-f]{16}\Z")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"*:<>?|%]|[\ud800-\udfff]')


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


def sidecar_name(stored: PurePosixPath, *, source: str, sidecar: str) -> PurePosixPath | None:
    """Name a sidecar in a tier, so that who finds one by the object's name does so there, too.

    Parameters
    ----------
    stored : PurePosixPath
        The object's name in the tier: ``plate7/A01~9f86d081884c7d65.tif``.
    source, sidecar : str
        What the two files were called: ``A01.tif`` and ``A01.tif.mdoc`` or ``A01.xml``.

    Returns
    -------
    PurePosixPath or None
        ``plate7/A01~9f86d081884c7d65.tif.mdoc``; None if the sidecar is not called like its object.
    """
    stem = PurePosixPath(source).stem
    if sidecar.startswith(f"{source}."):
        return stored.with_name(_joined(stored.name, sidecar[len(source) :]))
    if sidecar.startswith(f"{stem}."):
        return stored.with_name(_joined(stored.stem, sidecar[len(stem) :]))
    if stem.startswith(f"{PurePosixPath(sidecar).stem}_"):  # EPU: X_fractions.tiff has X.xml
        mark = _MARK.search(stored.stem)
        own = stored.with_name(object_name(sidecar).name)
        return marked(own, mark[0][1:]) if mark else own
    return None


def _joined(start: str, rest: str) -> str:
    name = start + _segment(rest.replace("\\", "_"))
    # With the hash that it may still get, at most 255 bytes.
    return name if len(name.encode()) <= 235 else _segment(name)


def path_beside(source_id: str, *, source_url: str, sidecar_url: str) -> str:
    """Tell where a sidecar that is not called like its object belongs, by its place beside the object.

    Parameters
    ----------
    source_id : str
        ``TimePoint_1/A01.tif``
    source_url, sidecar_url : str
        ``root://nas/plate7/TimePoint_1/A01.tif`` and ``root://nas/plate7/plate7.HTD``

    Returns
    -------
    str
        Relative to the stream: ``plate7.HTD``; in the object's folder if its URL does not end with its name.
    """
    source, sidecar = unquote(source_url), unquote(sidecar_url)
    start = source.removesuffix(source_id)
    if start != source and start.endswith("/") and sidecar.startswith(start):
        return sidecar.removeprefix(start)
    folder, slash, _ = source_id.rpartition("/")
    return f"{folder}{slash}{sidecar.rpartition('/')[2]}"


def _segment(text: str, ending: str = "") -> str:
    safe = _UNSAFE.sub(_percent_encoded, text) + ending
    if safe in (".", ".."):
        safe = safe.replace(".", "%2e")
    if safe[-1] in ". ":
        safe = safe[:-1] + f"%{ord(safe[-1]):02x}"
    if is_device(safe):  # Windows and SMB shares cannot hold it
        safe = f"%{ord(safe[0]):02x}{safe[1:]}"
    if len(safe.encode()) <= _MAX_SEGMENT_BYTES:
        return safe
    digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
    kept = safe.encode()[: _MAX_SEGMENT_BYTES - len(ending) - len(digest) - 1].decode(errors="ignore")
    return f"{kept}~{digest}{ending}"


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02x}" for byte in match[0].encode(errors="surrogatepass"))

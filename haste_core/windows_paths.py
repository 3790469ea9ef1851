r"""Paths of Windows, as text: which name one file, how long ones are opened, what no file can be called.

Nothing here asks a computer, so that it is the same on each: a server on Linux reads what a microscope's PC
has written. Forms of one path: ``C:\x`` and, without limit of length, ``\\?\C:\x``; on a share
``\\server\share\x`` and ``\\?\UNC\server\share\x``.
"""

from __future__ import annotations

import ntpath
import re
from pathlib import PureWindowsPath

LONGEST = 247
"""Characters of a path that every program can open; for files it is 259, for new folders this."""

_LONGEST_NAME = 255  # in units of UTF-16
_WINDOWS = re.compile(r"[A-Za-z]:|[\\/]{2}[?.][\\/]|\\\\")
_EXTENDED = re.compile(r"[\\/]{2}\?[\\/](?:(?P<unc>[Uu][Nn][Cc])[\\/]|(?=[A-Za-z]:(?:[\\/]|\Z)))")
_SPECIAL = re.compile(r"[\\/]{2}[?.](?:[\\/]|\Z)")
_DRIVE_IN_URL = re.compile(r"/([A-Za-z]:)")
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"|?*\\/]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *([.:].*)?", re.I | re.S)


def is_windows_path(text: str) -> bool:
    """Tell whether a path is written as Windows does: with a drive, on a share, or with a prefix."""
    return _WINDOWS.match(text) is not None


def plain(path: str) -> str:
    r"""Write a path without the prefix that long ones need: ``\\?\UNC\srv\share\x`` is ``\\srv\share\x``.

    What has no such prefix, and what names a device or a volume, stays as it is.
    """
    found = _EXTENDED.match(path)
    if found is None:
        return path
    return ("\\\\" if found["unc"] else "") + path[found.end() :]


def extended(path: str) -> str:
    r"""Write an absolute path so that Windows opens it whatever its length: ``\\?\C:\x``.

    Windows does not look at ``/``, ``.`` and ``..`` in it any more, so they are worked out. What is not
    absolute, and what names a device, stays as it is.
    """
    normal = ntpath.normpath(plain(path))
    if _SPECIAL.match(normal):
        return path
    drive, rest = ntpath.splitdrive(normal)
    if drive.startswith("\\\\"):
        return f"\\\\?\\UNC\\{normal[2:]}"
    return f"\\\\?\\{normal}" if drive and rest.startswith("\\") else path


def openable(path: str) -> str:
    """Write an absolute path so that it can be opened: as it is, unless it is long."""
    return path if len(path) <= LONGEST else extended(path)


def folded(text: str) -> str:
    """Write names that Windows takes for one in one way: each letter that has one upper case, in that.

    Letters without a counterpart of their own, such as ß, are told apart, as NTFS does.
    """
    return "".join(_upper(letter) for letter in text)


def respelled(path: str, on_disk: str) -> str:
    """Take a path's spelling from the disk, if both are one path there.

    Parameters
    ----------
    path, on_disk : str
        Relative, with ``/`` or backslashes; what the disk says about another path, as of a link, is left.
    """
    there = on_disk.replace("\\", "/")
    return there if folded(there) == folded(path.replace("\\", "/")) else path


def is_device(name: str) -> bool:
    """Tell whether a name stands for a device, as ``con`` and ``NUL.tif`` do, whatever folder it is in."""
    return _DEVICE.fullmatch(name) is not None


def trouble_with_name(name: str) -> str | None:
    """Say why no file of Windows can be called so; None if one can.

    That is also what Windows takes for another spelling (``A01.tif.``), or for a part of a file
    (``A01.tif:x``).
    """
    forbidden = _FORBIDDEN.search(name)
    if forbidden:
        return f"it holds {forbidden[0]!r}"
    if not name or name[-1] in ". ":
        return "it ends with a dot or a space" if name else "it is empty"
    if is_device(name):
        return "it stands for a device"
    if len(name.encode("utf-16-le", "surrogatepass")) // 2 > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} characters"
    return None


def file_url(path: str) -> str:
    r"""Write an absolute path as a ``file://`` URL, percent-encoded; each file of one drive or share as one.

    Drives are written in upper case, servers and shares in lower case. The names below stay: a share, or a
    folder, may tell upper and lower case apart.

    Raises
    ------
    ValueError
        If it is not absolute, or names a device.
    """
    bare = plain(path)
    if _SPECIAL.match(bare):
        raise ValueError(f"{path} names a device, not a file")
    pure = PureWindowsPath(bare)
    drive = pure.drive.lower() if pure.drive.startswith("\\\\") else pure.drive.upper()
    return PureWindowsPath(drive + pure.root, *pure.parts[1:]).as_uri()


def path_in_file_url(server: str, path: str) -> str | None:
    r"""Read a path of Windows from the parts of a ``file://`` URL; None if it is one of another system.

    Parameters
    ----------
    server : str
        ``server`` of ``file://server/share/x``; empty in ``file:///C:/x``.
    path : str
        The decoded rest: ``/share/x`` or ``/C:/x``.
    """
    if server and server.lower() != "localhost":
        return f"\\\\{server}{path}".replace("/", "\\")
    found = _DRIVE_IN_URL.match(path)
    if found is None:
        return None
    rest = path[found.end() :].replace("/", "\\")
    return found[1] + (rest if rest.startswith("\\") else f"\\{rest}")


def _upper(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.lower() == letter else letter

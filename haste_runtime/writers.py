"""Who writes a file now: only Windows tells."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from haste_core.windows_paths import extended

_GENERIC_READ, _FILE_SHARE_READ, _FILE_SHARE_DELETE, _OPEN_EXISTING = 0x80000000, 1, 4, 3
_HELD = frozenset({32, 33})  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION


def _opening_without_writers(path: str) -> int:
    """Open a file so that nobody may write it meanwhile, and close it; return Windows' error number, or 0."""
    if sys.platform != "win32":
        return 0
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateFileW.restype = wintypes.HANDLE
    kernel.CreateFileW.argtypes = [
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    ]
    kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    # Who only reads it, as a viewer or a scanner for viruses does, is not in the way.
    shared = _FILE_SHARE_READ | _FILE_SHARE_DELETE
    handle = kernel.CreateFileW(path, _GENERIC_READ, shared, None, _OPEN_EXISTING, 0, None)
    if handle == wintypes.HANDLE(-1).value:
        return ctypes.get_last_error()
    kernel.CloseHandle(handle)
    return 0


def has_writer(
    path: Path,
    *,
    is_windows: bool = os.name == "nt",
    opening: Callable[[str], int] = _opening_without_writers,
) -> bool:
    """Tell whether a program has a file open for writing; False where the system does not tell.

    Parameters
    ----------
    path : Path
        Absolute.
    is_windows : bool
    opening : callable
        Opens a file so that nobody may write it, and returns Windows' error number.

    Raises
    ------
    OSError
        If the file cannot be opened for another reason.
    """
    if not is_windows:
        return False
    error = opening(extended(str(path)))
    if error in _HELD:
        return True
    if error:
        raise OSError(error, f"Windows' error {error}", str(path))
    return False

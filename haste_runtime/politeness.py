"""Leaving a computer to those who need it more: a lower priority for this process and all that it starts."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

NICENESS = 10
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_IDLE, _IOPRIO_CLASS_SHIFT = 1, 3, 13
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "ppc64le": 273, "s390x": 282}
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def step_back() -> None:
    """Run with a priority below normal, and use disks when nobody else does (the latter on Linux only).

    Called before other threads and processes are started: they take it over. Where the system refuses,
    nothing changes.
    """
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
        return
    missing = NICENESS - os.nice(0)
    if missing > 0:
        os.nice(missing)
    number = _IOPRIO_SET.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        idle = _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, idle)

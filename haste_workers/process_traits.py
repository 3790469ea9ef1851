"""What a process of a worker has to settle about itself before it loads libraries."""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_NAME = 15  # in Linux' prctl.h


def take_one_core() -> None:
    """Let libraries that are loaded from now on start no threads: several tasks run in several children."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def name_process(name: str) -> None:
    """Give this process a name in lists such as that of ``top`` (Linux; else nothing is done).

    Parameters
    ----------
    name : str
        At most 15 bytes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)

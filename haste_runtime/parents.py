"""Ending with the process that one belongs to, even if that was killed and could say nothing."""

from __future__ import annotations

import os


def is_orphaned(parent_pid: int | None) -> bool:
    """Tell whether the parent of this process is gone.

    Parameters
    ----------
    parent_pid : int, optional
        The process that started this one, by its own word: asked for only here, it could be gone already.
        None: this process belongs to none.

    Returns
    -------
    bool
        Always False on Windows, where a process keeps the number of its parent when that has ended.
    """
    return parent_pid is not None and os.name != "nt" and os.getppid() != parent_pid

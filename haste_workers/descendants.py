"""The processes that a process has started, directly or not, in whatever session and group they are now."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of those below it whose own parent ends (Linux; else nothing is done).

    Otherwise a program that goes to the background would become a child of the system's first process, and
    `kill_descendants` would not find it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(pid: int) -> None:
    """Kill all processes below one (Linux; else nothing is done). It should not start more meanwhile.

    Parameters
    ----------
    pid : int
        Of a process that has not been waited for, so that its number cannot be another's by now.
    """
    stopped: set[int] = set()
    # Stopped first: one that still runs could start another behind the back of this search.
    while new := _descendants(pid) - stopped:
        for found in new:
            _signal(found, signal.SIGSTOP)
        stopped |= new
    for found in stopped:
        _signal(found, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    # Gone, or another user's (a program with the setuid bit).
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    children = _children_by_parent()
    found: set[int] = set()
    unseen = [pid]
    while unseen:
        new = children[unseen.pop()] - found
        found |= new
        unseen.extend(new)
    return found


def _children_by_parent() -> defaultdict[int, set[int]]:
    children: defaultdict[int, set[int]] = defaultdict(set)
    if sys.platform != "linux":
        return children
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # gone meanwhile
            # The program's name stands in brackets and may hold brackets and spaces itself.
            after_name = entry.read_bytes().rpartition(b")")[2].split()
            children[int(after_name[1])].add(int(entry.parent.name))
    return children

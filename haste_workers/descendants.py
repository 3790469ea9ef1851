"""The processes that a process has started, directly or not, in whatever session and group they are now."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_END_WAIT_S = (
    2.0  # a killed program ends within milliseconds, unless it waits for a disk or is another user's
)
_LOOK_S = 0.005


def adopt_orphans() -> None:
    """Make this process the parent of those below it whose own parent ends (Linux; else nothing is done).

    Otherwise a program that goes to the background would become a child of the system's first process, and
    `kill_descendants` would not find it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_adopted(*, spared: Collection[int]) -> None:
    """Kill what dead children have left to this process, and all below it, if it has asked for orphans.

    A child makes a session of its own before it starts anything, so what it leaves is never in this process's
    session; what this process has started itself is, or is spared.

    Parameters
    ----------
    spared : collection of int
        The numbers of this process's own children that stand in sessions of their own.
    """
    if not _adopts_orphans():
        return
    give_up_at = time.monotonic() + _END_WAIT_S
    # Again until nothing is left: what is below a killed program comes to this process when it ends.
    while (orphans := _children_in_other_sessions() - set(spared)) and time.monotonic() < give_up_at:
        for orphan in orphans:
            _signal(orphan, signal.SIGSTOP)
            kill_descendants(orphan)
            _signal(orphan, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
        time.sleep(_LOOK_S)


def _adopts_orphans() -> bool:
    if sys.platform != "linux":
        return False
    answer = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def _children_in_other_sessions() -> set[int]:
    return {
        pid
        for pid, (parent, session) in _processes().items()
        if parent == os.getpid() and session != os.getsid(0)
    }


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
    for pid, (parent, _) in _processes().items():
        children[parent].add(pid)
    return children


def _processes() -> dict[int, tuple[int, int]]:
    """List parent and session of all processes, by their numbers."""
    found: dict[int, tuple[int, int]] = {}
    if sys.platform != "linux":
        return found
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # gone meanwhile
            # The program's name stands in brackets and may hold brackets and spaces itself.
            after_name = entry.read_bytes().rpartition(b")")[2].split()
            found[int(entry.parent.name)] = int(after_name[1]), int(after_name[3])
    return found

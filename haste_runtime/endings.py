"""How processes ended, in words."""

from __future__ import annotations

import signal


def describe_ending(exit_code: int) -> str:
    """Say how a process ended, and why it may have been.

    Parameters
    ----------
    exit_code : int
        Below 0: the signal that killed it.
    """
    if exit_code >= 0:
        return f"ended by itself with exit code {exit_code}"
    name = signal_name(-exit_code)
    hint = {
        "SIGKILL": ", probably since the machine ran out of memory",
        "SIGSEGV": ", a fault in compiled code that it uses",
    }.get(name, "")
    return f"was killed by {name}{hint}"


def signal_name(number: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"

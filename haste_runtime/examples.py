"""Examples in a program's help."""

from __future__ import annotations


def as_epilog(*commands: str) -> str:
    """Write command lines as what stands last in a command's help, one a line.

    Parameters
    ----------
    *commands : str
        As they can be typed; without square brackets, which would be taken for markup.
    """
    return "\n\n".join(("Examples:" if len(commands) > 1 else "Example:", *commands))

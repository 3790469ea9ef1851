"""What a program's end means to the script that started it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all programs; server and worker know DONE, USAGE and TRY_AGAIN."""

    DONE = 0
    WORK_FAILED = (
        1  # it ran, but some images failed, or the server did at this request, or something is wrong
    )
    USAGE = 2  # what was asked for cannot be done
    TRY_AGAIN = 5  # server, broker or database are away; a later run continues
    INTERRUPTED = 130  # Ctrl-C, as shells have it
    NOBODY_READS = 141  # whoever read its output is gone (SIGPIPE), as shells have it

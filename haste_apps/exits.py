"""How the programs end: exit codes, and errors told in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from haste_core.errors import HasteError, OutcomeUnknownError, PermanentError, TransientError


class ExitCode(IntEnum):
    """What a program's end means to the script that started it."""

    DONE = 0
    WORK_FAILED = 1  # it ran, but some images failed, or the server did at this request
    USAGE = 2  # what was asked for cannot be done
    TRY_AGAIN = 5  # server, broker or database are away; a later run continues
    INTERRUPTED = 130  # Ctrl-C, as shells have it


class RunFailedError(HasteError):
    """What was asked for was right, but it did not come to its end.

    Attributes
    ----------
    exit_code : ExitCode
        How the program ends.
    """

    exit_code = ExitCode.WORK_FAILED


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn the errors that a user can act on into one line on stderr and an exit code.

    Raises
    ------
    typer.Exit
        Instead of the error.
    """
    try:
        yield
    except TransientError as error:
        _leave(f"{error} (a later run continues)", ExitCode.TRY_AGAIN, error)
    except OutcomeUnknownError as error:
        _leave(str(error), ExitCode.TRY_AGAIN, error)
    except RunFailedError as error:
        _leave(str(error), error.exit_code, error)
    except PermanentError as error:
        _leave(str(error), ExitCode.WORK_FAILED, error)
    except (HasteError, OSError) as error:
        _leave(str(error), ExitCode.USAGE, error)
    except KeyboardInterrupt as error:
        _leave("interrupted", ExitCode.INTERRUPTED, error)


def _leave(message: str, code: ExitCode, cause: BaseException) -> None:
    print(f"haste: {message}", file=sys.stderr)  # noqa: T201 - this is the command's voice
    raise typer.Exit(code) from cause

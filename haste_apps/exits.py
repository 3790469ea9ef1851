"""Errors told in one line, with the exit code that they mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from haste_apps.output import say
from haste_core.errors import HasteError, OutcomeUnknownError, PermanentError, TransientError
from haste_runtime.exit_codes import ExitCode


class RunFailedError(HasteError):
    """What was asked for was right, but it did not come to its end.

    Attributes
    ----------
    exit_code : ExitCode
        How the program ends.
    """

    exit_code = ExitCode.WORK_FAILED


@contextmanager
def explained_errors(program: str = "haste") -> Iterator[None]:
    """Turn the errors that a user can act on into one line on stderr and an exit code.

    Parameters
    ----------
    program : str
        As the line begins.

    Raises
    ------
    typer.Exit
        Instead of the error.
    """
    try:
        yield
    except TransientError as error:
        _leave(program, f"{error} (a later run continues)", ExitCode.TRY_AGAIN, error)
    except OutcomeUnknownError as error:
        _leave(program, str(error), ExitCode.TRY_AGAIN, error)
    except RunFailedError as error:
        _leave(program, str(error), error.exit_code, error)
    except PermanentError as error:
        _leave(program, str(error), ExitCode.WORK_FAILED, error)
    except (HasteError, OSError) as error:
        _leave(program, str(error), ExitCode.USAGE, error)
    except KeyboardInterrupt as error:
        _leave(program, "interrupted", ExitCode.INTERRUPTED, error)


def _leave(program: str, message: str, code: ExitCode, cause: BaseException) -> None:
    say(f"{program}: {message}")
    raise typer.Exit(code) from cause

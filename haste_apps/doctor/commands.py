"""The command `haste doctor`. It imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from haste_apps.exits import explained_errors
from haste_apps.interruption import interruptible
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_runtime.exit_codes import ExitCode


def doctor(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Find out what does not work here, and say what to do about it.

    Looks at this computer's settings, the server, the token, database, broker, engine, workers, tiers, clocks
    and versions; with --json one object. Exit codes: 0 all works, 1 something is wrong.
    """
    with interruptible() as interruption, explained_errors():

        def look() -> ExitCode:
            from haste_apps.doctor import examining

            return examining.doctor(server, token, as_json=as_json)

        code = interruption.run(look)
    raise typer.Exit(code)

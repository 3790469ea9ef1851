"""What all commands that talk with a server do around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from haste_apps.exits import explained_errors
from haste_apps.interruption import GRACE_S, Interruption, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable

    from haste_client import HasteClient
    from haste_runtime.exit_codes import ExitCode

RETRY_FOR_S = 15.0
"""How long a command waits for a server that is being restarted."""


def with_client(
    work: Callable[[HasteClient, Interruption], ExitCode | None],
    *,
    server: str | None,
    token: str | None,
    retry_for_s: float = RETRY_FOR_S,
    grace_s: float = GRACE_S,
) -> None:
    """Do what a command does at a server, and end the program with the code that it gives."""
    with interruptible() as interruption, explained_errors():

        def talk() -> ExitCode | None:
            from haste_client import HasteClient

            with HasteClient(server, token, retry_for_s=retry_for_s) as client:
                return work(client, interruption)

        code = interruption.run(talk, grace_s=grace_s)
    raise typer.Exit(code or 0)

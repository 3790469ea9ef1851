"""The command `haste alerts`. It imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient


def alerts(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's name.")],
    only_open: Annotated[bool, typer.Option("--open", help="Only those not acknowledged yet.")] = False,
    acknowledge: Annotated[
        list[int] | None, typer.Option("--acknowledge", metavar="ID", help="Take it off the open ones.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """List what a stream's rules told; with --json one object a line."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_alerts

        show_alerts(client, stream, acknowledge or (), only_open=only_open, as_json=as_json)

    with_client(work, server=server, token=token)

"""The commands `haste alerts` and `haste events`. They import what they need when they run."""

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


def events(
    stream: Annotated[
        str | None, typer.Argument(metavar="[STREAM]", help="Only of this stream. Default: of all.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Follow what happens until Ctrl-C: how streams stand, first and whenever that changes, and alerts.

    With --json one object a line.
    """

    def work(client: HasteClient, interruption: Interruption) -> None:
        from haste_apps.following import show_events

        show_events(client, stream, as_json=as_json, stop=interruption.heard)

    with_client(work, server=server, token=token)

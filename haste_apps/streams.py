"""The commands `haste streams` and `haste complete`. They import what they need when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient


def streams(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the streams, how far they are, and which are complete; with --json one object a line."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_streams

        show_streams(client.streams(), as_json=as_json)

    with_client(work, server=server, token=token)


def complete(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's name.")],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Say that no more images come to a stream; one that is submitted later opens it again.

    Image sets no longer wait for what is missing, and silence is no alert.
    """

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_streams

        show_streams([client.complete_stream(stream)], as_json=as_json)

    with_client(work, server=server, token=token)

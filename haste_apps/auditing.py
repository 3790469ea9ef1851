"""The command `haste audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient


def audit(
    who: Annotated[
        str | None, typer.Option("--who", metavar="TOKEN", help="Only by the token of this name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the latest first.")] = 100,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Show who has changed what, the latest first; with --json one object a line. Needs scope admin."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from datetime import datetime
        from itertools import islice

        from haste_apps.output import print_json, print_table

        entries = islice(client.audit(who=who, page=min(limit, 1000)), limit)
        if as_json:
            for entry in entries:
                print_json(entry.model_dump(mode="json"))
            return
        rows = [
            [
                datetime.fromtimestamp(entry.made_at).astimezone().isoformat(" ", "seconds"),
                *(entry.who, entry.action, entry.target, entry.details),
            ]
            for entry in entries
        ]
        print_table(["when", "who", "what", "on what", "how"], rows)

    with_client(work, server=server, token=token)

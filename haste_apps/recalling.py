"""The command `haste recall`: an image comes back from an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.deciding.commands import By, Image
from haste_apps.options import AsJson, Server, Token
from haste_apps.output import print_json, say

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient


def recall(
    image: Image,
    tier: Annotated[
        str | None,
        typer.Option("--tier", metavar="NAME", help="Where to; by default the policy's best tier."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="It is recorded.")] = None,
    by: By = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Bring an image back to a fast tier; the time that it may stay there counts anew."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.deciding.asking import job_of, name_of_user

        recalled = client.recall(job_of(client, image), tier, reason=reason, by=by or name_of_user())
        if as_json:
            print_json(recalled.model_dump(mode="json"))
        say(f"{recalled.source_id} (job {recalled.job_id}) goes to {recalled.tier}")

    with_client(work, server=server, token=token)

"""The commands `haste trash list` and `haste trash empty`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.examples import examples_of
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient
    from haste_runtime.exit_codes import ExitCode

trash = typer.Typer(
    help="See what lies in a tier that is a trash, and delete what has lain there long enough.",
    no_args_is_help=True,
)

Tier = Annotated[str, typer.Argument(metavar="TIER", help="A tier with `driver: trash`.")]


@trash.command("list", epilog=examples_of("trash list"))
def list_trash(tier: Tier, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List what lies in a trash, and until when it stays; with --json one object a line."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.emptying import show_trash

        show_trash(client, tier, as_json=as_json)

    with_client(work, server=server, token=token)


@trash.command(epilog=examples_of("trash empty"))
def empty(
    tier: Tier,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell only what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who says so; default: your name at this machine."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Delete what has lain in a trash for longer than its time of grace. It does not come back."""

    def work(client: HasteClient, _interruption: Interruption) -> ExitCode:
        from haste_apps.emptying import empty_trash

        return empty_trash(client, tier, dry_run=dry_run, yes=yes, by=by, as_json=as_json)

    with_client(work, server=server, token=token)

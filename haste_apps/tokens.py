"""The commands `haste token create`, `haste token list` and `haste token revoke`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.examples import examples_of
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient

token = typer.Typer(
    help="Give programs and people tokens of their own, and take them back; needs a token of scope admin.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as the microscope's computer.")]


class ScopeName(StrEnum):
    """What a token is good for."""

    READ = "read"
    SUBMIT = "submit"
    WORK = "work"
    ADMIN = "admin"


@token.command(epilog=examples_of("token create"))
def create(
    name: Name,
    scopes: Annotated[
        list[ScopeName],
        typer.Option("--scope", help="read; submit (and read); work (for workers); admin: everything."),
    ],
    projects: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="PROJECT",
            help="Only for streams of this project; may be repeated. New streams belong to the first.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="90d|DATE", help="In so many hours (h) or days (d), or at a date."),
    ] = None,
    upload_quota: Annotated[
        str | None,
        typer.Option(
            "--upload-quota",
            metavar="200G",
            help="What it uploads may hold in the server's landing area at a time.",
        ),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Make a token, and print its secret: this once, nobody can look it up later."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.giving_tokens import create_token

        wanted = [scope.value for scope in scopes]
        create_token(
            client,
            name,
            wanted,
            projects=projects,
            expires=expires,
            upload_quota=upload_quota,
            as_json=as_json,
        )

    with_client(work, server=server, token=token)


@token.command("list", epilog=examples_of("token list"))
def list_tokens(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """List the tokens; with --json one object a line."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.giving_tokens import show_tokens

        show_tokens(client, as_json=as_json)

    with_client(work, server=server, token=token)


@token.command(epilog=examples_of("token revoke"))
def revoke(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let a token open nothing any more."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.giving_tokens import revoke_token

        revoke_token(client, name, as_json=as_json)

    with_client(work, server=server, token=token)

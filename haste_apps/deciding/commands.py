"""The commands about decisions. They import what they need when they run: `--help` answers at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.options import AsJson, Server, Token

if TYPE_CHECKING:
    from haste_apps.interruption import Interruption
    from haste_client import HasteClient
    from haste_runtime.exit_codes import ExitCode


class StreamMode(StrEnum):
    """Whether a stream records decisions only, or moves images."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


Image = Annotated[
    list[str], typer.Argument(metavar="ID | STREAM IMAGE", help="A job's number, or a stream and its image.")
]
OneStream = Annotated[str, typer.Argument(metavar="STREAM", help="The stream's name.")]
Reason = Annotated[str, typer.Option("--reason", help="For whoever asks later.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who says so; default: your name at this machine.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def pin(
    image: Image,
    tier: Annotated[str, typer.Option("--tier", metavar="TIER", help="Where it is to stay.")],
    reason: Reason,
    by: By = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Keep an image in a tier, whatever the policy says."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.deciding import pinning

        pinning.pin(client, image, tier, reason=reason, by=by, as_json=as_json)

    with_client(work, server=server, token=token)


def unpin(
    image: Image,
    reason: Reason,
    by: By = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Let the policy decide about an image again."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.deciding import pinning

        pinning.unpin(client, image, reason=reason, by=by, as_json=as_json)

    with_client(work, server=server, token=token)


def recall(
    image: Image,
    tier: Annotated[
        str | None,
        typer.Option("--tier", metavar="TIER", help="Where to; by default the policy's best tier."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="For whoever asks later.")] = None,
    by: By = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Bring an image back to a fast tier; the time that it may stay there counts anew."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.deciding import pinning

        pinning.recall(client, image, tier, reason=reason, by=by, as_json=as_json)

    with_client(work, server=server, token=token)


def explain(image: Image, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Say why an image is in its tier: what was measured, how it was scored, what was decided since."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.deciding import explaining

        explaining.explain(client, image, as_json=as_json)

    with_client(work, server=server, token=token)


def verify(stream: OneStream, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Make all decisions of a stream once more from their records; ends with 1 if any differs."""

    def work(client: HasteClient, _interruption: Interruption) -> ExitCode:
        from haste_apps.deciding import verifying

        return verifying.verify(client, stream, as_json=as_json)

    with_client(work, server=server, token=token)


def policy(
    stream: OneStream,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="YAML with another policy, function, or both.", dir_okay=False
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Decide by it from now on.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Show what a stream decides by; with --file, what another policy would do; with --apply, take it."""
    if apply and file is None:
        raise typer.BadParameter("--apply needs --file, the policy to apply")

    def work(client: HasteClient, _interruption: Interruption) -> ExitCode | None:
        from haste_apps.deciding import policies

        if file is None:
            policies.show_policy(client, stream, as_json=as_json)
            return None
        return policies.change_policy(client, stream, file, apply=apply, yes=yes, as_json=as_json)

    with_client(work, server=server, token=token)


def mode(
    stream: OneStream,
    mode: Annotated[StreamMode, typer.Argument(help="Record decisions only, or move images.")],
    yes: Yes = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Let a stream only record its decisions, or carry them out, the earlier ones, too."""

    def work(client: HasteClient, _interruption: Interruption) -> ExitCode:
        from haste_apps.deciding import policies

        return policies.change_mode(client, stream, mode.value, yes=yes, as_json=as_json)

    with_client(work, server=server, token=token)

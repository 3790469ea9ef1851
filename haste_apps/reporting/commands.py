"""The command `haste report`. It imports what it needs when it runs, so that `--help` answers at once."""

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


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def report(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's name.")],
    format_: Annotated[
        Format, typer.Option("--format", help="A page for people, or a table for programs.")
    ] = Format.HTML,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            dir_okay=False,
            allow_dash=True,
            help="- is stdout. Default: STREAM.html, .csv, .json or .parquet.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Write what became of a stream's images: tiers, histograms, plates, pictures, and how it was decided."""
    path = output or Path(f"{stream}.{format_.value}")

    def work(client: HasteClient, interruption: Interruption) -> None:
        from haste_apps.reporting.reporting import write_report

        write_report(
            client, stream, format_.value, path, force=force, as_json=as_json, interruption=interruption
        )

    with_client(work, server=server, token=token)

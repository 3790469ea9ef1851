"""Arguments and options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder of images.", exists=True, file_okay=False)
]
Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="The server's address.")]
Token = Annotated[
    str | None, typer.Option("--token", help="Access token; better kept in HASTE_TOKEN.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Stream = Annotated[
    str | None, typer.Option("--stream", metavar="NAME", help="The stream. Default: the folder's name.")
]
PipelineName = Annotated[str, typer.Option("--pipeline", metavar="NAME", help="What happens to the images.")]
Pattern = Annotated[
    str | None, typer.Option("--pattern", metavar="GLOB", help="Which names; default: those of image files.")
]
Recursive = Annotated[bool, typer.Option("--recursive/--flat", help="Sub-folders, too.")]
Names = Annotated[
    str | None,
    typer.Option(
        "--names",
        metavar="PRESET|REGEX|FILE",
        help="How the files are named, such as imagexpress; `haste names` lists the presets.",
    ),
]
EndMarkerNames = Annotated[
    list[str] | None,
    typer.Option(
        "--end-marker",
        metavar="NAME",
        help="A file that says that an image is whole, such as {name}.done or {stem}.done, or, without "
        "braces, that its folder is; may be repeated.",
    ),
]
Priority = Annotated[float, typer.Option("--priority", help="The higher, the earlier.")]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        help="observe: record decisions; enforce: move images. Default: the stream's; a new one observes.",
    ),
]
JobIds = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Jobs, by their numbers.")]
OfStream = Annotated[str | None, typer.Option("--stream", metavar="NAME", help="All of this stream.")]
OfKey = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Only where tasks of this key are concerned.")
]
OfSite = Annotated[str | None, typer.Option("--at-site", metavar="SITE", help="Only tasks at this site.")]
OfState = Annotated[
    str | None, typer.Option("--state", help="Only tasks that are open, done, failed, or have this code.")
]
Site = Annotated[str, typer.Option("--site", help="Where the workers are that can reach the files.")]


class UnparsedNames(StrEnum):
    """What becomes of images whose names are not understood."""

    STOP = "stop"
    SKIP = "skip"
    INCLUDE = "include"


UnparsedOption = Annotated[
    UnparsedNames,
    typer.Option(
        "--unparsed",
        help="Images whose names are not understood: submit nothing, leave them out, or submit them, too.",
    ),
]

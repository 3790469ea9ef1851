"""The `haste` command. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.alerts import alerts, events
from haste_apps.auditing import audit
from haste_apps.connecting import RETRY_FOR_S
from haste_apps.connecting import with_client as _with_client
from haste_apps.deciding.commands import explain, mode, pin, policy, recall, unpin, verify
from haste_apps.demo.workspace import DEFAULT_WORK_DIR
from haste_apps.doctor.commands import doctor
from haste_apps.examples import examples_of
from haste_apps.exits import explained_errors
from haste_apps.interruption import Interruption, interruptible
from haste_apps.jobs import cancel, job, jobs, retry, task
from haste_apps.measuring.commands import calibrate, evaluate, score
from haste_apps.options import (
    AsJson,
    EndMarkerNames,
    Folder,
    Mode,
    Names,
    Pattern,
    PipelineName,
    Priority,
    Recursive,
    Server,
    Site,
    Stream,
    Token,
    UnparsedNames,
    UnparsedOption,
)
from haste_apps.reporting.commands import report
from haste_apps.streams import complete, streams
from haste_apps.tokens import token
from haste_apps.trash import trash
from haste_runtime.standard_output import run_for_reader

if TYPE_CHECKING:
    from haste_client import HasteClient
    from haste_runtime.exit_codes import ExitCode

WATCH_RETRY_FOR_S, WATCH_GRACE_S = 2.0, 10.0
"""A lasting watch ends between two images, also when the server does not answer just now."""


class Kind(StrEnum):
    """What the simulated microscope shows."""

    CELLS = "cells"
    TEM = "tem"
    EMPTY_MIX = "empty-mix"


app = typer.Typer(
    name="haste",
    help=(
        "Submit microscope images to a HASTE server, watch folders, follow jobs, fit the score to your "
        "images, and try it all out."
    ),
    epilog=(
        "Exit codes: 0 done; 1 some images failed, or the server failed at a request; 2 wrong usage; "
        "5 server, broker or database cannot be reached, try again. "
        "The server's address is taken from --server, HASTE_SERVER_URL or the client's YAML file."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(epilog=examples_of("demo"))
def demo(
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Score your own folder; it is only read.")
    ] = None,
    pattern: Pattern = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Images of the simulated microscope.")] = 40,
    rate_hz: Annotated[float, typer.Option("--rate", min=0.01, help="Images per second.")] = 4.0,
    work_dir: Annotated[Path, typer.Option("--work-dir", metavar="DIR", help="Replaced at each run.")] = (
        DEFAULT_WORK_DIR
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """See it all at work on this machine: simulated images, or your own with --images."""
    with interruptible() as interruption, explained_errors():
        from haste_apps.demo.own_images import score_own_images
        from haste_apps.demo.simulated import run_simulated

        if images is None:
            code = run_simulated(
                work_dir=work_dir,
                count=count,
                rate_hz=rate_hz,
                keep=keep,
                as_json=as_json,
                interruption=interruption,
            )
        else:
            code = score_own_images(
                images,
                work_dir=work_dir,
                pattern=pattern,
                keep=keep,
                as_json=as_json,
                interruption=interruption,
            )
    raise typer.Exit(code)


@app.command(epilog=examples_of("submit"))
def submit(
    directory: Folder,
    stream: Stream = None,
    pipeline: PipelineName = "focus-tier",
    pattern: Pattern = None,
    recursive: Recursive = True,
    priority: Priority = 1.0,
    mode: Mode = None,
    site: Site = "default",
    names: Names = None,
    unparsed: UnparsedOption = UnparsedNames.STOP,
    complete: Annotated[
        bool, typer.Option("--complete", help="No more images come: complete the stream.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all images have ended.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a folder's images; what was submitted before and has not changed is left out."""

    def work(client: HasteClient, interruption: Interruption) -> ExitCode:
        from haste_apps.submitting import SubmitOptions
        from haste_apps.submitting import submit as run

        options = SubmitOptions(
            stream, pipeline, pattern, recursive, priority, mode, site, names, unparsed.value
        )
        return run(
            client,
            directory,
            options,
            complete=complete,
            wait=wait,
            as_json=as_json,
            interruption=interruption,
        )

    _with_client(work, server=server, token=token)


@app.command(epilog=examples_of("watch"))
def watch(
    directory: Folder,
    stream: Stream = None,
    pipeline: PipelineName = "focus-tier",
    pattern: Pattern = None,
    recursive: Recursive = True,
    priority: Priority = 1.0,
    mode: Mode = None,
    site: Site = "default",
    names: Names = None,
    unparsed: UnparsedOption = UnparsedNames.STOP,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is submitted.")] = False,
    settle_s: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", min=0, help="Rest that makes a file complete.")
    ] = 2.0,
    end_marker: EndMarkerNames = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a folder's images as they are written, each when it is complete, until Ctrl-C."""

    def work(client: HasteClient, interruption: Interruption) -> ExitCode:
        from haste_apps.submitting import SubmitOptions, watch_folder

        options = SubmitOptions(
            stream, pipeline, pattern, recursive, priority, mode, site, names, unparsed.value, end_marker
        )
        return watch_folder(
            client, directory, options, once=once, settle_s=settle_s, as_json=as_json, stop=interruption.heard
        )

    # A lasting watch tries again by itself, and listens to Ctrl-C in between.
    retry_for_s = RETRY_FOR_S if once else WATCH_RETRY_FOR_S
    _with_client(work, server=server, token=token, retry_for_s=retry_for_s, grace_s=WATCH_GRACE_S)


@app.command(epilog=examples_of("names"))
def names(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="A folder of images; it is only listed.", file_okay=False, exists=True
        ),
    ] = None,
    names: Names = None,
    pattern: Pattern = None,
    recursive: Recursive = True,
    as_json: AsJson = False,
) -> None:
    """Show what the names of a folder's files say, before anything is submitted; no server is needed.

    Without --names, count how many names each preset reads; without a folder, list the presets.
    """
    with explained_errors():
        from haste_apps.naming import show_fitting, show_names, show_presets
        from haste_client.directory import Selection

        if directory is None:
            code = show_presets(as_json=as_json)
        elif names is None:
            code = show_fitting(directory, Selection(pattern, recursive), as_json=as_json)
        else:
            code = show_names(directory, names, Selection(pattern, recursive), as_json=as_json)
    raise typer.Exit(code)


@app.command(epilog=examples_of("simulate"))
def simulate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Made if it is not there.", file_okay=False)
    ],
    rate_hz: Annotated[
        float, typer.Option("--rate", metavar="HZ", min=0.001, help="Images per second.")
    ] = 2.0,
    count: Annotated[int, typer.Option("--count", min=1, help="How many images.")] = 40,
    kind: Annotated[Kind, typer.Option("--kind", help="What the fields show.")] = Kind.EMPTY_MIX,
    size_px: Annotated[
        int | None, typer.Option("--size", metavar="PX", min=32, help="Side of an image, in pixels.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal images.")] = 7,
    as_json: AsJson = False,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
) -> None:
    """Write images as a microscope does, some slowly, with the truth in a CSV file beside them."""
    with interruptible() as interruption, explained_errors():
        from haste_apps.simulating import run_simulation

        interruption.run(
            lambda: run_simulation(
                directory,
                kind=kind.value,
                count=count,
                rate_hz=rate_hz,
                size_px=size_px,
                seed=seed,
                as_json=as_json,
                interruption=interruption,
                parent_pid=parent,
            )
        )


for command in (
    doctor,
    job,
    jobs,
    task,
    retry,
    cancel,
    streams,
    complete,
    alerts,
    events,
    explain,
    policy,
    mode,
    pin,
    unpin,
    recall,
    verify,
    report,
    audit,
    score,
    calibrate,
    evaluate,
):
    app.command(epilog=examples_of(command.__name__))(command)


app.add_typer(trash, name="trash")
app.add_typer(token, name="token")


def main() -> None:
    """Run the program ``haste``."""
    run_for_reader(app, errors_too=True)


if __name__ == "__main__":
    main()

"""The program `haste-agent`. What it needs is imported when it works, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from haste_apps.exits import explained_errors
from haste_apps.interruption import Interruption, interruptible
from haste_runtime.examples import as_epilog
from haste_runtime.standard_output import run_for_reader

if TYPE_CHECKING:
    from haste_apps.agent.settings import AgentSettings
    from haste_runtime.exit_codes import ExitCode

app = typer.Typer(name="haste-agent", pretty_exceptions_enable=False)

_GRACE_S = 20.0  # for the agent's own server to end in good order

Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include", metavar="EXT", help="Only files with this suffix, such as tif; may be repeated."
    ),
]


@app.command(
    epilog=as_epilog(
        "haste-agent /data/microscope --host haste.example.org:5510 --token-file token",
        "haste-agent /data/microscope --host https://haste.example.org --dry-run",
    )
)
def agent(
    path: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="What the microscope writes to.")
    ] = None,
    include: Include = None,
    tag: Annotated[
        str | None, typer.Option(help="Says what the server does with the images; it knows some tags.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The server: haste.lab, haste.lab:5510, or a URL.")] = None,
    username: Annotated[str | None, typer.Option(help="Any; only the password counts.")] = None,
    password: Annotated[
        str | None,
        typer.Option(help="The server's token; others on this computer can see it: rather use a file."),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Holds the password.")] = None,
    token: Annotated[str | None, typer.Option(help="The same as --password.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Holds the token, and nothing else.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    stream: Annotated[
        str | None, typer.Option(help="The stream at the server. Default: the folder's name and the tag.")
    ] = None,
    cores: Annotated[int | None, typer.Option(help="Images preprocessed at a time.")] = None,
    x_preprocessing_cores: Annotated[int | None, typer.Option(hidden=True)] = None,
    x_mode: Annotated[int | None, typer.Option(hidden=True)] = None,
    x_disable_prioritization: Annotated[
        bool, typer.Option("--x-disable-prioritization", hidden=True)
    ] = False,
    transfers: Annotated[int | None, typer.Option(help="Images sent at a time.")] = None,
    operator: Annotated[
        str | None, typer.Option(help="How images are made smaller: none, recompress, floodfill, or others.")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="deflate, jxl or zstd.")] = None,
    names: Annotated[
        str | None,
        typer.Option(metavar="PRESET|REGEX|FILE", help="How files are named; see `haste names`."),
    ] = None,
    end_marker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A file that says that an image is whole, such as {name}.done; may be repeated.",
        ),
    ] = None,
    settle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long a file rests before it is whole.")
    ] = None,
    delete_after_upload: Annotated[
        bool,
        typer.Option("--delete-after-upload", help="Delete originals that the server has, with checksum."),
    ] = False,
    ca: Annotated[Path | None, typer.Option("--ca", help="Certificates of the authorities to trust.")] = None,
    proxy: Annotated[str | None, typer.Option(help="http://proxy:3128")] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Sent per second at most, such as 20M.")
    ] = None,
    hours: Annotated[str | None, typer.Option(help="Send at these hours only, such as 18-07.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="What the agent keeps; best on a disk of its own.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is sent.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events on stdout, one JSON object a line.")
    ] = False,
) -> None:
    """Send the images that appear in a folder to a HASTE server, made smaller if there is time.

    Originals are never changed. After a power cut or a restart it goes on where it was. Each option can also
    be given as HASTE_AGENT_… in the environment, or in the YAML file. Options of the original haste-agent,
    such as --x-preprocessing-cores, are taken, too.

    Exit codes: 0 done or stopped as asked; 1 some images were not sent (--once); 2 wrong usage: token, tag,
    certificate, folder; 5 try again.
    """
    given = {
        "path": path,
        "include": include,
        "tag": tag,
        "host": host,
        "username": username,
        "password": password,
        "password_file": password_file,
        "token": token,
        "token_file": token_file,
        "stream": stream,
        "cores": x_preprocessing_cores if cores is None else cores,
        "transfers": transfers,
        "operator": operator,
        "codec": codec,
        "names": names,
        "end_markers": end_marker,
        "settle_s": settle,
        "delete_after_upload": delete_after_upload or None,
        "ca_file": ca,
        "proxy": proxy,
        "limit": limit,
        "hours": hours,
        "data_dir": data_dir,
    }
    with interruptible() as interruption, explained_errors("haste-agent"):
        _refuse_other_orders(x_mode, disabled=x_disable_prioritization)
        settings = _settings(config, given)
        if dry_run:
            from haste_apps.agent.dry_run import dry_run as run_dry

            code = interruption.run(lambda: run_dry(settings, as_json=as_json))
        else:
            code = _run(settings, interruption, once=once, as_json=as_json)
    raise typer.Exit(code)


def _settings(config: Path | None, given: dict[str, Any]) -> AgentSettings:
    from haste_apps.agent.settings import load_settings
    from haste_apps.output import say

    settings = load_settings(config, **given)
    if given["password"] is not None or given["token"] is not None:
        say("Warning: other users of this computer can see a password on the command line; use --token-file")
    return settings


def _refuse_other_orders(mode: int | None, *, disabled: bool) -> None:
    """Take the original agent's order by expected savings, which is always on, and refuse its others."""
    from haste_core.errors import InvalidError, Problem

    always = "images are always chosen by what preprocessing is expected to save"
    refused = {
        1: f"{always}, and not in the order in which they come",
        2: f"{always}; what it will truly save is known to nobody beforehand",
    }
    if mode is not None and mode != 0:
        what = refused.get(mode, "the original agent has no such mode")
        raise InvalidError([Problem("--x-mode", f"{what}: leave --x-mode out, or say 0")])
    if disabled:
        what = f"{always}: leave it out, or say --operator none to have them sent as they are"
        raise InvalidError([Problem("--x-disable-prioritization", what)])


def _run(settings: AgentSettings, interruption: Interruption, *, once: bool, as_json: bool) -> ExitCode:
    from haste_apps.agent.acquisition import Acquisition
    from haste_apps.agent.checks import check_and_join
    from haste_apps.agent.display import Display
    from haste_apps.agent.own_server import folder_claimed
    from haste_runtime.exit_codes import ExitCode
    from haste_runtime.politeness import step_back

    def work() -> ExitCode:
        with folder_claimed(settings):
            check_and_join(settings)
            if settings.polite:
                step_back()
            with Display(as_json=as_json) as display:
                return Acquisition(settings, display, interruption, once=once).run()

    try:
        return interruption.run(work, grace_s=_GRACE_S)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED if once else ExitCode.DONE


def main() -> None:
    """Run the program ``haste-agent``."""
    run_for_reader(app)


if __name__ == "__main__":
    main()

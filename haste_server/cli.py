"""The program ``haste-server``.

What a server needs is imported when it is built, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haste_core.errors import HasteError, InvalidError, TransientError
from haste_runtime.examples import as_epilog
from haste_runtime.exit_codes import ExitCode
from haste_runtime.standard_output import run_for_reader

if TYPE_CHECKING:
    from haste_runtime.configuration import Gathered
    from haste_server.bootstrap import Server
    from haste_server.processes.children import ChildProcess
    from haste_server.processes.claims import UrlFile
    from haste_server.settings import ServerSettings

logger = logging.getLogger(__name__)

LOOK_AT_FOLDERS_S = (
    2.0  # a share that does not answer holds up who looks at it; the server starts all the same
)
STOP_MARGIN_S = 60.0  # beyond shutdown_s: web and engine end by themselves long before

app = typer.Typer(pretty_exceptions_enable=False, invoke_without_command=True)
database_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(database_app, name="db")


@app.callback(
    epilog=as_epilog(
        "haste-server --root plates=/data/plates",
        "haste-server --config server.yaml --log-format json",
        "haste-server --handler spots:count_spots --pipelines-dir pipelines",
        "haste-server --database-url mysql+pymysql://haste:PASSWORD@nas/haste",
        "haste-server --broker-url amqp://haste:PASSWORD@nas:5672/haste",
    )
)
def serve(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.", envvar="HASTE_CONFIG")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one; default: 5510.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="For everything that the server keeps.")] = None,
    root: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER: a folder its own workers may read.")
    ] = None,
    handler: Annotated[
        list[str] | None,
        typer.Option(
            help="[KEY=]module:function: a handler for its own workers; "
            "the key defaults to the function's name, with - for _."
        ),
    ] = None,
    pipelines_dir: Annotated[
        Path | None, typer.Option(help="A folder with your own pipelines, one YAML file each.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Holds the token that clients must show.")] = None,
    workers: Annotated[int | None, typer.Option(help="Tasks that its own workers run at once.")] = None,
    url_file: Annotated[Path | None, typer.Option(help="Tells the URL while the server answers.")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of MariaDB, as SQLAlchemy writes it; default: SQLite."),
    ] = None,
    broker_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of RabbitMQ; default: none needed."),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="console or json.")] = None,
    parent: Annotated[
        int | None,
        typer.Option(help="End when this process, which started the server, is gone (not on Windows)."),
    ] = None,
) -> None:
    """Store jobs, hand their tasks out, and show it all, until SIGTERM or Ctrl-C.

    Each option can also be given as HASTE_… in the environment or in the YAML file, and there are more:
    `haste-server check-config` shows them all.

    Exit codes: 0 stopped as asked, 2 wrong usage or settings, 5 try again (for example: no database).
    """
    from haste_runtime.logs import configure_logging
    from haste_runtime.options import named_handlers, named_values
    from haste_server.configuration import load_settings

    with _explained():
        loaded = load_settings(
            config,
            host=host,
            port=port,
            data_dir=data_dir,
            roots=named_values(root, "--root") if root else None,
            handlers=named_handlers(handler) if handler else None,
            pipelines_dir=pipelines_dir,
            token_file=token_file,
            workers=workers,
            url_file=url_file,
            database_url=database_url,
            broker_url=broker_url,
            log_format=log_format,
        )
        context.obj = loaded
        configure_logging(loaded.settings.log_level, loaded.settings.log_format)
        if context.invoked_subcommand is None:
            _serve(_built(loaded.settings), parent_pid=parent)


@app.command(
    "check-config",
    epilog=as_epilog("haste-server check-config", "haste-server --config server.yaml check-config --json"),
)
def check_config(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show all settings with their origins, and say what is wrong with them."""
    from haste_server.configuration import explain, explained

    loaded: Gathered[ServerSettings] = context.obj
    if not as_json:
        typer.echo(explain(loaded))
    with _explained():
        server = _built(loaded.settings)
    shape = "distributed" if loaded.settings.distributed else "one process"
    pipelines = sorted(server.pipelines)
    if as_json:
        typer.echo(json.dumps({"settings": explained(loaded), "shape": shape, "pipelines": pipelines}))
    else:
        typer.echo(f"\nRuns as: {shape}. Pipelines: {', '.join(pipelines)}.")
        for missing in loaded.settings.missing_folders():
            typer.echo(f"Warning: {missing}")


@database_app.command(epilog=as_epilog("haste-server --config server.yaml db upgrade"))
def upgrade(context: typer.Context) -> None:
    """Bring the database to the schema of this version; make a backup before."""
    from haste_server.processes.claims import DataFolderClaim

    with _explained():
        server = _built(context.obj.settings)
        claim = DataFolderClaim(server.settings.data_dir) if server.settings.uses_sqlite else None
        server.upgrade_database()
        if claim is not None:
            claim.release()
    typer.echo("The database has the schema of this version.")


@app.command(hidden=True)
def engine(context: typer.Context, parent: Annotated[int, typer.Option()]) -> None:
    """Run the engine, as a part of a server."""
    from haste_server.processes.supervisor import hear_stop_signals, run_until_stopped

    with _explained():
        stop_signals = hear_stop_signals()
        parts = _built(context.obj.settings).engine()
        parts.start()
        try:
            run_until_stopped(stop_signals, parent_pid=parent)
        finally:
            parts.stop()


@app.command(hidden=True)
def web(context: typer.Context, parent: Annotated[int, typer.Option()]) -> None:
    """Answer requests, as a part of a server."""
    with _explained():
        server = _built(context.obj.settings)
        _serve_with_gunicorn(server, processes=server.settings.web_processes, parent_pid=parent)


def _built(settings: ServerSettings) -> Server:
    from haste_server.bootstrap import build

    return build(settings)


def _serve(server: Server, *, parent_pid: int | None) -> None:
    from haste_server.processes.claims import DataFolderClaim
    from haste_server.processes.supervisor import supervise

    settings = server.settings
    if settings.makes_its_token:
        server = replace(server, token=secrets.token_urlsafe(32))
    claim = DataFolderClaim(settings.data_dir)
    server.prepare_database()
    server.prepare_folders()
    _warn_of_missing_folders(settings)
    if settings.distributed:
        supervise(_own_parts(), timeout_s=settings.shutdown_s + STOP_MARGIN_S, parent_pid=parent_pid)
    elif os.name == "nt":
        _serve_with_waitress(server, parent_pid=parent_pid)
    else:
        _serve_with_gunicorn(server, processes=1, parent_pid=parent_pid)
    claim.release()


def _warn_of_missing_folders(settings: ServerSettings) -> None:
    found: list[str] = []
    looking = threading.Thread(target=lambda: found.extend(settings.missing_folders()), daemon=True)
    looking.start()
    looking.join(LOOK_AT_FOLDERS_S)
    for missing in found:
        logger.warning(missing, extra={"action": "folder_missing"})


def _own_parts() -> list[ChildProcess]:
    """Make the processes of the distributed shape, told all that this one was told."""
    from haste_server.processes.children import ChildProcess

    program = [sys.executable, "-m", "haste_server.cli", *sys.argv[1:]]
    parent = ["--parent", str(os.getpid())]
    environment = dict(os.environ)
    return [
        ChildProcess(name=name, command=[*program, name, *parent], environment=environment)
        for name in ("engine", "web")
    ]


def _serve_with_waitress(server: Server, *, parent_pid: int | None) -> None:
    from haste_server.processes.waitress_web import serve_in_one_process  # installed on Windows only

    settings = server.settings
    serve_in_one_process(
        settings.host,
        settings.port,
        threads=settings.threads,
        url_file=_url_file(server),
        make=server.whole,
        parent_pid=parent_pid,
    )


def _serve_with_gunicorn(server: Server, *, processes: int, parent_pid: int | None) -> None:
    from haste_runtime.garbage import collect_seldom
    from haste_server.processes.gunicorn_web import Listening, serve  # not installed on Windows

    settings = server.settings
    listening = Listening(
        host=settings.host,
        port=settings.port,
        processes=processes,
        threads=settings.threads,
        shutdown_s=settings.shutdown_s,
        parent_pid=parent_pid,
    )
    import_module("haste_server.web.application")  # once, and not in each process that is forked
    collect_seldom()  # a search for garbage would write to what those processes share, and again at the end
    make = server.web if settings.distributed else server.whole
    try:
        serve(listening, url_file=_url_file(server), make=make)
    except SystemExit as error:  # gunicorn's codes are not ours; it has logged what it means
        raise typer.Exit(ExitCode.TRY_AGAIN if error.code else ExitCode.DONE) from error


def _url_file(server: Server) -> UrlFile:
    from haste_server.processes.claims import UrlFile

    settings = server.settings
    return UrlFile(settings.url_file, token=server.token if settings.makes_its_token else None)


@contextmanager
def _explained() -> Iterator[None]:
    """Tell what went wrong in words, and end with the code that fits."""
    try:
        yield
    except InvalidError as error:
        for problem in error.problems:
            typer.echo(f"haste-server: {problem}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    except (TransientError, OSError) as error:
        typer.echo(f"haste-server: {error}", err=True)
        raise typer.Exit(ExitCode.TRY_AGAIN) from error
    except HasteError as error:
        typer.echo(f"haste-server: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error


def main() -> None:
    """Run the program ``haste-server``."""
    run_for_reader(app)


if __name__ == "__main__":
    main()

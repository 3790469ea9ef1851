"""The program ``haste-worker``: takes tasks of some keys at one site, and runs their handlers.

What a worker needs is imported when it starts to work, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from haste_core.errors import InvalidError
from haste_runtime.examples import as_epilog
from haste_runtime.exit_codes import ExitCode
from haste_runtime.standard_output import run_for_reader

app = typer.Typer(pretty_exceptions_enable=False)

Keys = Annotated[
    str | None, typer.Option(help="Task keys to take, comma-separated; default: all with a usable handler.")
]
Site = Annotated[str | None, typer.Option(help="Where this worker stands.")]
Concurrency = Annotated[int | None, typer.Option(help="Tasks at once; default: one per core.")]
Handlers = Annotated[
    list[str] | None,
    typer.Option(help="[KEY=]module:function; the key defaults to the function's name, with - for _."),
]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings.")]
BrokerUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Of RabbitMQ: amqp://user:password@host/vhost")
]
ServerUrl = Annotated[str | None, typer.Option(help="The server that `upload` sends to.")]
RootFolders = Annotated[
    list[str] | None, typer.Option(help="NAME=FOLDER: a folder that may be read, as root://NAME/.")
]
Piped = Annotated[
    bool, typer.Option("--pipe", help="Take tasks from standard input; for the server's own workers.")
]


@app.command(
    epilog=as_epilog(
        "haste-worker --broker-url amqp://haste:PASSWORD@haste.example.org:5672/haste",
        "haste-worker --config worker.yaml --keys focus-score,tier --site lab1",
    )
)
def work(
    keys: Keys = None,
    site: Site = None,
    concurrency: Concurrency = None,
    handler: Handlers = None,
    config: Config = None,
    broker_url: BrokerUrl = None,
    server_url: ServerUrl = None,
    root: RootFolders = None,
    pipe: Piped = False,
) -> None:
    """Take tasks from a broker and run their handlers, until SIGTERM or Ctrl-C.

    Then the running tasks are finished, the others handed back. A second signal stops the running ones too.
    Each option can also be given as HASTE_… in the environment, or in the YAML file.

    Exit codes: 0 stopped as asked, 2 wrong usage or settings, 5 the server is gone.
    """
    from haste_runtime.logs import configure_logging
    from haste_runtime.options import named_handlers, named_values
    from haste_workers.handlers.registry import HandlerUnusableError
    from haste_workers.program import run_worker
    from haste_workers.settings import load_settings

    try:
        settings = load_settings(
            config,
            keys=keys,
            site=site,
            concurrency=concurrency,
            broker_url=broker_url,
            server_url=server_url,
            handlers=named_handlers(handler) if handler else None,
            roots=named_values(root, "--root") if root else None,
        )
        configure_logging(settings.log_level)
        ended_well = run_worker(settings, pipe=pipe)
    except (InvalidError, HandlerUnusableError) as error:
        for problem in error.problems if isinstance(error, InvalidError) else [error]:
            typer.echo(f"haste-worker: {problem}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    raise typer.Exit(ExitCode.DONE if ended_well else ExitCode.TRY_AGAIN)


def main() -> None:
    """Run the program ``haste-worker``."""
    run_for_reader(app)


if __name__ == "__main__":
    main()

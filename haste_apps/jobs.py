"""The commands about jobs and their tasks. They import what they need when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.connecting import with_client
from haste_apps.options import AsJson, JobIds, OfKey, OfSite, OfState, OfStream, Server, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from haste_apps.interruption import Interruption
    from haste_client import HasteClient
    from haste_runtime.exit_codes import ExitCode


def job(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Show one job and its tasks."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_job

        show_job(client.job(job_id), as_json=as_json)

    with_client(work, server=server, token=token)


def jobs(
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="NAME", help="Only of this stream.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only open, done, failed, or with this code.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """List jobs; with --json one object a line."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_jobs

        if not show_jobs(client.jobs(stream_id=stream, state=state), as_json=as_json) and stream is not None:
            client.stream(stream)  # an error, if there is none of that name

    with_client(work, server=server, token=token)


def task(
    task_id: Annotated[int, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Show one task and its attempts."""

    def work(client: HasteClient, _interruption: Interruption) -> None:
        from haste_apps.inspecting import show_task

        show_task(client.task(task_id), as_json=as_json)

    with_client(work, server=server, token=token)


def _asks_of_jobs(action: str, told: str) -> Callable[..., None]:
    """Make a command that asks something of jobs: of one, or of many."""

    def command(
        job_ids: JobIds = None,
        stream: OfStream = None,
        task_key: OfKey = None,
        site: OfSite = None,
        state: OfState = None,
        as_json: AsJson = False,
        server: Server = None,
        token: Token = None,
    ) -> None:
        def work(client: HasteClient, _interruption: Interruption) -> ExitCode:
            from haste_apps import bulk_actions

            chosen = bulk_actions.Chosen(job_ids, stream, task_key, site, state)
            return bulk_actions.act(client, action, chosen, as_json=as_json)

        with_client(work, server=server, token=token)

    command.__name__, command.__doc__ = action, told
    return command


retry = _asks_of_jobs(
    "retry", "Run failed tasks again: of jobs by number, or all of a stream, a key, a site, a state."
)
cancel = _asks_of_jobs(
    "cancel",
    "End jobs with all their open tasks, by number, or by tasks of a stream, a key, a site, a state.",
)

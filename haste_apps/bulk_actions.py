"""`haste retry` and `haste cancel`: what is asked of jobs, of one or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from haste_apps.inspecting import show_job
from haste_apps.output import print_json, print_table
from haste_client import HasteClient
from haste_client.bulk_actions import BulkActionAnswer
from haste_core.errors import InvalidError, Problem
from haste_runtime.exit_codes import ExitCode


@dataclass(frozen=True)
class Chosen:
    """Which jobs are meant: by their numbers, or by their tasks."""

    job_ids: Sequence[int] | None = None
    stream_id: str | None = None
    task_key: str | None = None
    site: str | None = None
    state: str | None = None

    @property
    def only_id(self) -> int | None:
        """The number, if just one was given."""
        return self.job_ids[0] if self.job_ids and len(self.job_ids) == 1 and not self.by_tasks() else None

    def by_tasks(self) -> dict[str, Any]:
        """Return what was given beside numbers.

        Raises
        ------
        InvalidError
            If that is nothing, and there are no numbers.
        """
        names = ("stream_id", "task_key", "site", "state")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if bool(given) == bool(self.job_ids):
            what = "give numbers of jobs, or some of --stream, --key, --at-site and --state; not both"
            raise InvalidError([Problem("", what)])
        return given


def act(client: HasteClient, action: str, chosen: Chosen, *, as_json: bool) -> ExitCode:
    """Ask something of jobs, and show what came of it.

    Parameters
    ----------
    client : HasteClient
    action : {"retry", "cancel"}
        Run failed tasks again; end what is open.
    chosen : Chosen
    as_json : bool

    Returns
    -------
    ExitCode
        `WORK_FAILED` if the server refused it for some.
    """
    ask_one, act_on_many = {
        "retry": (client.retry_job, client.retry_jobs),
        "cancel": (client.cancel_job, client.cancel_jobs),
    }[action]
    if (job_id := chosen.only_id) is not None:
        show_job(ask_one(job_id), as_json=as_json)
        return ExitCode.DONE
    answer = act_on_many(chosen.job_ids or None, **chosen.by_tasks())
    if as_json:
        print_json(answer.model_dump(mode="json", exclude={"next"}))
    else:
        _show(answer)
    return ExitCode.WORK_FAILED if answer.refused else ExitCode.DONE


def _show(answer: BulkActionAnswer) -> None:
    print_table(["jobs", "number"], [["done", str(answer.changed)], ["refused", str(answer.refused)]])
    refused = [[str(item.id), item.detail or ""] for item in answer.results or () if item.detail]
    if refused:
        print_table(["job", "why it was refused"], refused, numbers={"job"})

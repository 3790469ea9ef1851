"""How jobs, tasks and streams stand: `haste job`, `jobs`, `task`, `streams`, `complete` and `alerts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from haste_apps.output import number_text, print_json, print_table
from haste_client import HasteClient, Result
from haste_client.alerts import DeliveryAnswer
from haste_client.answers import JobAnswer, StreamAnswer, TaskAnswer
from haste_core.states import TaskState


def show_job(job: JobAnswer, *, as_json: bool) -> None:
    """Print one job: its tasks with their states and messages."""
    if as_json:
        print_json(job.model_dump(mode="json"))
        return
    result = Result.of(job)
    print_table(
        ["field", "value"],
        [
            ["job", str(job.job_id)],
            ["image", job.source_id],
            ["stream", job.stream_id],
            ["state", f"{result.state} ({job.state})"],
            ["submitted", _time_text(job.created_at)],
            ["ended", _time_text(job.ended_at)],
            ["PLLS", number_text(result.plls, 4)],
            ["score", number_text(result.interestingness)],
            ["tier", result.tier or "-"],
            ["now at", _place_text(job)],
        ],
    )
    print_table(
        ["task", "id", "state", "attempts", "message"],
        [
            [
                task.task_key,
                str(task.task_id),
                _state_text(task.task_state),
                str(task.attempts),
                task.task_msg,
            ]
            for task in job.task_list()
        ],
        numbers={"id", "attempts"},
    )


def _place_text(job: JobAnswer) -> str:
    if job.deleted_at is not None:
        return f"deleted at {_time_text(job.deleted_at)}"
    return job.place.url if job.place else job.source_url


def show_task(task: TaskAnswer, *, as_json: bool) -> None:
    """Print one task and its attempts."""
    if as_json:
        print_json(task.model_dump(mode="json"))
        return
    progress = "-" if task.fraction is None else f"{task.fraction:.0%}"
    print_table(
        ["field", "value"],
        [
            ["task", f"{task.task_key} ({task.task_id})"],
            ["job", str(task.job_id)],
            ["state", _state_text(task.task_state)],
            ["message", task.task_msg or "-"],
            ["progress", f"{progress} {task.note}".strip()],
        ],
    )
    print_table(
        ["attempt", "outcome", "worker", "started", "ended", "message"],
        [
            [
                str(item.attempt),
                item.outcome if item.state is None else f"{item.outcome} ({item.state})",
                item.worker or "-",
                _time_text(item.started_at),
                _time_text(item.ended_at),
                item.message,
            ]
            for item in task.history
        ],
        numbers={"attempt"},
    )


def show_jobs(jobs: Iterable[JobAnswer], *, as_json: bool) -> int:
    """Print jobs, one a line.

    Returns
    -------
    int
        How many there are.
    """
    count = 0

    def counted() -> Iterator[JobAnswer]:
        nonlocal count
        for count, job in enumerate(jobs, start=1):  # noqa: B007
            yield job

    if as_json:
        for job in counted():
            print_json(job.model_dump(mode="json"))
    else:
        heads = ["image", "job", "stream", "state", "score", "tier", "message"]
        print_table(heads, map(_row, counted()), numbers={"job", "score"})
    return count


def show_streams(streams: Iterable[StreamAnswer], *, as_json: bool) -> None:
    """Print streams, one a line."""
    if as_json:
        for stream in streams:
            print_json(stream.model_dump(mode="json"))
        return
    rows = (
        [
            stream.stream_id,
            stream.pipeline.name,
            stream.mode,
            "no" if stream.completed_at is None else f"since {_time_text(stream.completed_at)}",
            *map(str, (stream.progress.open, stream.progress.done, stream.progress.failed)),
            str(stream.open_alerts),
        ]
        for stream in streams
    )
    heads = ["stream", "pipeline", "mode", "complete", "jobs open", "done", "failed", "open alerts"]
    print_table(heads, rows, numbers=heads[4:])


def show_alerts(
    client: HasteClient, stream_id: str, acknowledged: Iterable[int], *, only_open: bool, as_json: bool
) -> None:
    """Acknowledge alerts of a stream, then print them all or those that are open, the oldest first."""
    for alert_id in acknowledged:
        client.acknowledge(stream_id, alert_id)
    alerts = client.alerts(stream_id, only_open=only_open)
    if as_json:
        for alert in alerts:
            print_json(alert.model_dump(mode="json"))
        return
    rows = (
        [
            str(alert.alert_id),
            _time_text(alert.raised_at),
            "open" if alert.acknowledged_at is None else "acknowledged",
            alert.message,
            "; ".join(map(_delivery_text, alert.deliveries)) or "-",
        ]
        for alert in alerts
    )
    print_table(["id", "raised", "state", "message", "told by"], rows, numbers={"id"})


def _delivery_text(delivery: DeliveryAnswer) -> str:
    if delivery.delivered_at is not None:
        return delivery.channel
    if not delivery.failures:
        return f"{delivery.channel}: not yet"
    what = "given up" if delivery.due_at is None else f"failed {delivery.failures} times, is tried again"
    return f"{delivery.channel}: {what} ({delivery.trouble})"


def _row(job: JobAnswer) -> list[str]:
    result = Result.of(job)
    return [
        job.source_id,
        str(job.job_id),
        job.stream_id,
        f"{result.state} ({job.state})",
        number_text(result.interestingness),
        result.tier or "-",
        "" if result.state == "done" else result.message,
    ]


def _state_text(code: int) -> str:
    return f"{code} {TaskState(code).name.lower().replace('_', ' ')}"


def _time_text(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds") if seconds else "-"

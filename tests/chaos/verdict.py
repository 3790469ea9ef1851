"""What is found afterwards: in the database, on disk, in the broker, and in the processes that live."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import sqlalchemy as sa

from haste_core.messages import Outcome
from haste_core.routing import DEAD_LETTER_QUEUE, DEFAULT_SITE, RESULT_QUEUE, Route
from haste_core.states import TaskState
from haste_server.store.schema import attempts, decisions, jobs, tasks
from tests.chaos.handlers import KEYS
from tests.chaos.load import KINDS, Kind, Load, effects

_LOOK_S = 0.25


@dataclass
class Verdict:
    """What is wrong, by what a user would call it; all empty where nothing is.

    Attributes
    ----------
    lost : list of str
        Jobs, results or effects that are not there.
    stuck : list of str
        Jobs without an end.
    double : list of str
        Jobs, results or effects that are there more than once, or that should not be there at all.
    wrong : list of str
        Other states or answers than the job's kind asks for.
    left : list of str
        Messages in queues.
    leaked : list of str
        Processes, threads and file descriptors.
    refused : list of str
        What a client was told instead of being answered.
    """

    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, float]:
        """How many of each."""
        return {name: float(len(found)) for name, found in vars(self).items()}

    def __str__(self) -> str:
        shown = {name: found[:10] for name, found in vars(self).items() if found}
        return "\n".join(f"{name}: {found}" for name, found in shown.items()) or "nothing is wrong"


def wait_until_ended(database_url: str, numbers: Iterable[int], *, timeout_s: float) -> list[int]:
    """Wait until jobs have ended; return those that have not when none has ended for the time-out."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    wanted = set(numbers)
    stuck, deadline = set(wanted), time.monotonic() + timeout_s
    open_ones = sa.select(jobs.c.job_id).where(jobs.c.ended_at.is_(None))
    while stuck and time.monotonic() < deadline:
        with engine.connect() as connection:
            still_open = wanted.intersection(connection.scalars(open_ones))
        if len(still_open) < len(stuck):
            stuck, deadline = still_open, time.monotonic() + timeout_s
        time.sleep(_LOOK_S)
    return sorted(stuck)


@dataclass(frozen=True)
class _Stored:
    """What the database says.

    Attributes
    ----------
    jobs : dict of row
        By number.
    tasks : dict of dict of row
        By the job's number and the task's key.
    done : dict of list of int
        The attempts that were done, by the task's number.
    decisions : Counter
        How many were made, by the task's number.
    """

    jobs: dict[int, Any]
    tasks: dict[int, dict[str, Any]]
    done: dict[int, list[int]]
    decisions: Counter[int]


def _read(database_url: str) -> _Stored:
    were_done = sa.select(attempts.c.task_id, attempts.c.attempt).where(
        attempts.c.outcome == Outcome.ENDED.value, attempts.c.state == TaskState.DONE
    )
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        stored = {row.job_id: row for row in connection.execute(sa.select(jobs))}
        steps: dict[int, dict[str, Any]] = {number: {} for number in stored}
        for row in connection.execute(sa.select(tasks)):
            steps[row.job_id][row.task_key] = row
        done: dict[int, list[int]] = {}
        for task_id, attempt in connection.execute(were_done):
            done.setdefault(task_id, []).append(attempt)
        decided = Counter(connection.scalars(sa.select(decisions.c.task_id)))
        return _Stored(stored, steps, done, decided)


def judge_jobs(database_url: str, load: Load, verdict: Verdict) -> None:
    """Compare what is stored and what is on disk with what was asked for."""
    stored = _read(database_url)
    times = Counter(row.source_id for row in stored.jobs.values())
    verdict.double += [f"{source} is {count} jobs" for source, count in times.items() if count > 1]
    verdict.refused += load.refusals
    wanted, allowed = set[str](), set[str]()
    for number, chosen in load.accepted.items():
        if number not in stored.jobs:
            verdict.lost.append(f"job {number} is not there")
            continue
        kind, found = KINDS[chosen], stored.tasks[number]
        names = effects(load.sources[number], kind)
        _judge_states(f"job {number} ({chosen})", stored.jobs[number], found, kind, verdict)
        _judge_answers(found, names, verdict)
        wanted |= {names[key] for key, row in found.items() if row.state is TaskState.DONE}
        allowed |= {names[key] for key in found if TaskState.DONE in kind.ends[key]}
        for row in found.values():
            _judge_history(row, stored.done.get(row.task_id, []), verdict)
        if "tier" in found:
            _judge_decisions(found["tier"], stored.decisions[found["tier"].task_id], verdict)
    _judge_effects(load.folder / "effects", wanted, allowed, verdict)


def _judge_states(name: str, job: Any, found: Mapping[str, Any], kind: Kind, verdict: Verdict) -> None:
    if job.ended_at is None:
        verdict.stuck.append(f"{name}: {[(key, row.state, row.phase) for key, row in found.items()]}")
        return
    if job.state is not kind.state:
        verdict.wrong.append(f"{name} is {job.state}")
    verdict.wrong += [
        f"{name}: {key} is {row.state}: {row.message}"
        for key, row in found.items()
        if row.state not in kind.ends[key]
    ]


def _judge_answers(found: Mapping[str, Any], names: Mapping[str, str], verdict: Verdict) -> None:
    verdict.wrong += [
        f"task {row.task_id} ({key}) answered {row.response}"
        for key, row in found.items()
        if row.state is TaskState.DONE and (row.response or {}).get("effect") != names[key]
    ]


def _judge_history(task: Any, done: list[int], verdict: Verdict) -> None:
    should = [task.attempt] if task.state is TaskState.DONE else []
    if len(done) > len(should):
        verdict.double.append(f"task {task.task_id} ({task.state}) was done in attempts {done}")
    elif len(done) < len(should):
        verdict.lost.append(f"task {task.task_id} is done, but no attempt was")
    elif done != should:
        verdict.wrong.append(f"task {task.task_id} was done in attempt {done}, but attempt {should} counted")


def _judge_decisions(task: Any, count: int, verdict: Verdict) -> None:
    if count > 1:
        verdict.double.append(f"task {task.task_id} ({task.state}) was decided {count} times")
    elif count == 0:
        verdict.lost.append(f"task {task.task_id} ({task.state}) has no decision")


def _judge_effects(folder: Path, wanted: set[str], allowed: set[str], verdict: Verdict) -> None:
    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    verdict.lost += [f"effect {name} is not there" for name in wanted - there.keys()]
    verdict.double += [f"effect {there[name]!r} should not be there" for name in there.keys() - allowed]
    verdict.wrong += [
        f"effect {name} is broken" for name, text in there.items() if hashlib.sha256(text).hexdigest() != name
    ]


def judge_queues(broker_url: str, verdict: Verdict) -> None:
    """Look for messages that were left; those that a living program holds do not show."""
    queues = [RESULT_QUEUE, DEAD_LETTER_QUEUE, *(Route(key, DEFAULT_SITE).queue for key in KEYS)]
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        for queue in queues:
            count = channel.queue_declare(queue, passive=True).method.message_count
            if count:
                _, _, body = channel.basic_get(queue)
                verdict.left.append(f"{count} in {queue}: {body[:300]!r}")


def judge_log(log: Path, verdict: Verdict) -> None:
    """Look for errors that a server did not expect: outages are none, and leave no stack trace."""
    for line in log.read_text().splitlines():
        if line.startswith("{") and "exception" in (entry := json.loads(line)):
            verdict.wrong.append(f"{log.name}: {entry['event']}: {str(entry['exception'])[-300:]}")


@dataclass(frozen=True)
class Usage:
    """The most that a process of one role takes."""

    files: int
    threads: int


def usage(processes: Iterable[tuple[str, int]]) -> dict[str, Usage]:
    """Count file descriptors and threads, by role."""
    found: dict[str, Usage] = {}
    for role, pid in processes:
        try:
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            continue  # it has just ended
        most = found.get(role, Usage(0, 0))
        found[role] = Usage(max(files, most.files), max(threads, most.threads))
    return found


def judge_usage(before: Mapping[str, Usage], after: Mapping[str, Usage], verdict: Verdict) -> None:
    """Compare what processes take with what those of their role took when nothing had happened yet."""
    for role, now in after.items():
        then = before[role]
        if now.files > then.files + ALLOWED_FILES or now.threads > then.threads + ALLOWED_THREADS:
            verdict.leaked.append(f"{role}: {then} before, {now} after")


# A pool keeps the connections that were once needed at the same time, up to 16.
ALLOWED_FILES, ALLOWED_THREADS = 16, 4

"""What users ask of jobs and tasks, of one or of many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core import lifecycle
from haste_core.errors import ConflictError, HasteError
from haste_core.jobs import JobRecord, TaskRecord
from haste_core.stores import JobAction, Swept, TaskAction, TaskFilter
from haste_server.authorship import note_unchanged
from haste_server.changes import log_changes
from haste_server.store.alerting import await_end_again
from haste_server.store.handout import state_changes
from haste_server.store.history import note_revoked
from haste_server.store.jobs import load_job, locate, no_job, no_task, numeric_cursor
from haste_server.store.projects import of_projects
from haste_server.store.records import SqlPart, job_ids_of_tasks, load_jobs, save_changes, stop_waiting
from haste_server.store.schema import jobs, tasks

BATCH = 200  # jobs whose rows are held together

_JOB_WISHES: Mapping[JobAction, Callable[..., JobRecord]] = {
    "retry": lifecycle.retry,
    "cancel": lifecycle.cancel,
}
_TASK_WISHES: Mapping[TaskAction, Callable[..., JobRecord]] = {
    "retry": lifecycle.retry_task,
    "forceretry": lifecycle.force_retry_task,
    "reset": lifecycle.reset_task,
}


@dataclass(frozen=True)
class _Asked:
    """A job after an action: how often it was done, and what was refused, by job or task id."""

    job: JobRecord
    granted: int = 0
    refused: Mapping[int, ConflictError] = field(default_factory=dict)


_Ask = Callable[[JobRecord], _Asked]


class UserActions(SqlPart):
    """Actions of users: each changes a job and its history in one transaction, bulk ones in small ones."""

    def delete(self, job_id: int) -> None:
        """Forget a job; a result that is still under way will find nothing to change."""

        def work(connection: Connection) -> None:
            load_job(connection, job_id, lock=True)
            stop_waiting(connection, [job_id])
            connection.execute(sa.delete(jobs).where(jobs.c.job_id == job_id))

        self.database.write(work)

    def retry_job(self, job_id: int, *, now: float) -> JobRecord:
        """Run the failed, reset and cancelled tasks of a job again."""
        return self._ask_job("retry", job_id, now)

    def cancel_job(self, job_id: int, *, now: float) -> JobRecord:
        """End all tasks of a job that are open; what still comes of them changes nothing."""
        return self._ask_job("cancel", job_id, now)

    def retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a failed or reset task again."""
        return self._ask_task("retry", task_id, now)

    def force_retry_task(self, task_id: int, *, now: float) -> JobRecord:
        """Run a task again whatever its state, and what depends on it."""
        return self._ask_task("forceretry", task_id, now)

    def reset_task(self, task_id: int, *, now: float) -> JobRecord:
        """Take a task back to registered until it is asked for again."""
        return self._ask_task("reset", task_id, now)

    def act_on_jobs(
        self, action: JobAction, job_ids: Sequence[int], *, now: float
    ) -> list[HasteError | None]:
        """Apply an action to many jobs; tell for each why it was refused, None if it was not."""
        refused: dict[int, HasteError] = {job_id: no_job(job_id) for job_id in job_ids}
        ask = self._job_asker(action, now)
        for some in _batches(job_ids):
            for asked in self._put(partial(load_jobs, job_ids=some, lock=True), ask, now=now):
                del refused[asked.job.job_id]
                refused.update(asked.refused)
        return [refused.get(job_id) for job_id in job_ids]

    def act_on_tasks(
        self, action: TaskAction, task_ids: Sequence[int], *, now: float
    ) -> list[HasteError | None]:
        """Apply an action to many tasks; tell for each why it was refused, None if it was not."""
        refused: dict[int, HasteError] = {task_id: no_task(task_id) for task_id in task_ids}
        wanted = frozenset(task_ids)
        ask = self._task_asker(action, lambda task: task.task_id in wanted, now)
        for job_ids in _batches(self._jobs_of(wanted)):
            for asked in self._put(partial(load_jobs, job_ids=job_ids, lock=True), ask, now=now):
                for task in asked.job.tasks:
                    refused.pop(task.task_id, None)
                refused.update(asked.refused)
        return [refused.get(task_id) for task_id in task_ids]

    def sweep_jobs(
        self, action: JobAction, wanted: TaskFilter, *, now: float, cursor: str | None, limit: int
    ) -> Swept:
        """Apply an action to jobs that have such tasks, at most `limit` of them."""
        ask = self._job_asker(action, now)

        def ask_if_wanted(job: JobRecord) -> _Asked:
            # Cancelling all that is open leaves out what has ended with tasks that never came to run.
            fits = any(_is_wanted(task, wanted) for task in job.tasks)
            return ask(job) if fits and not (action == "cancel" and job.state.ended) else _Asked(job)

        return self._ask_all(ask_if_wanted, wanted, now=now, cursor=cursor, limit=limit)

    def sweep_tasks(
        self, action: TaskAction, wanted: TaskFilter, *, now: float, cursor: str | None, limit: int
    ) -> Swept:
        """Apply an action to such tasks, in at most `limit` jobs."""
        ask = self._task_asker(action, lambda task: _is_wanted(task, wanted), now)
        return self._ask_all(ask, wanted, now=now, cursor=cursor, limit=limit)

    def _ask_all(self, ask: _Ask, wanted: TaskFilter, *, now: float, cursor: str | None, limit: int) -> Swept:
        after, granted, refused, seen = numeric_cursor(cursor), 0, 0, 0
        while seen < limit:
            following = _jobs_with(wanted, after=after, limit=min(BATCH, limit - seen))
            job_ids = self.database.read(partial(_ids, wanted=following))
            if not job_ids:
                return Swept(granted, refused, None)
            for asked in self._put(partial(load_jobs, job_ids=job_ids, lock=True), ask, now=now):
                granted += asked.granted
                refused += len(asked.refused)
            after, seen = job_ids[-1], seen + len(job_ids)
        return Swept(granted, refused, str(after))

    def _ask_job(self, action: JobAction, job_id: int, now: float) -> JobRecord:
        def load(connection: Connection) -> dict[int, JobRecord]:
            return {job_id: load_job(connection, job_id, lock=True)}

        return self._only(load, self._job_asker(action, now), now)

    def _ask_task(self, action: TaskAction, task_id: int, now: float) -> JobRecord:
        def load(connection: Connection) -> dict[int, JobRecord]:
            job_id, _ = locate(connection, task_id)
            return {job_id: load_job(connection, job_id, lock=True)}

        ask = self._task_asker(action, lambda task: task.task_id == task_id, now)
        return self._only(load, ask, now)

    def _only(self, load: Callable[[Connection], dict[int, JobRecord]], ask: _Ask, now: float) -> JobRecord:
        (asked,) = self._put(load, ask, now=now)
        for refusal in asked.refused.values():
            raise refusal
        return asked.job

    def _put(
        self, load: Callable[[Connection], dict[int, JobRecord]], ask: _Ask, *, now: float
    ) -> list[_Asked]:
        """Apply an action to some jobs in one transaction."""

        def work(connection: Connection) -> list[tuple[JobRecord, _Asked]]:
            asked = [(job, ask(job)) for job in load(connection).values()]
            if not any(answer.granted for _, answer in asked):
                note_unchanged()
            changes = [(before, answer.job) for before, answer in asked]
            save_changes(self.database, connection, changes)
            opened = {job.spec.stream_id for was, job in changes if was.state.ended and not job.state.ended}
            if opened:
                plans = self.plans_of(connection, opened)
                await_end_again(connection, {name: plans[name].alerts for name in opened})
            note_revoked(connection, changes, now=now)
            return asked

        asked = self.database.write(work)
        log_changes(state_changes((before, answer.job) for before, answer in asked))
        return [answer for _, answer in asked]

    def _job_asker(self, action: JobAction, now: float) -> _Ask:
        def ask(job: JobRecord) -> _Asked:
            try:
                return _Asked(_JOB_WISHES[action](job, now=now, rules=self.rules), granted=1)
            except ConflictError as error:
                return _Asked(job, refused={job.job_id: error})

        return ask

    def _task_asker(self, action: TaskAction, wanted: Callable[[TaskRecord], bool], now: float) -> _Ask:
        def ask(job: JobRecord) -> _Asked:
            positions = [task.position for task in job.tasks if wanted(task)]
            granted, refused = 0, {}
            for position in positions:
                try:
                    job = _TASK_WISHES[action](job, position, now=now, rules=self.rules)
                    granted += 1
                except ConflictError as error:
                    refused[job.tasks[position].task_id] = error
            return _Asked(job, granted, refused)

        return ask

    def _jobs_of(self, task_ids: Collection[int]) -> list[int]:
        found = self.database.read(lambda connection: job_ids_of_tasks(connection, task_ids))
        return sorted({job_id for job_id, _ in found.values()})


def _batches(job_ids: Iterable[int]) -> Iterator[list[int]]:
    in_order = sorted(set(job_ids))
    return (in_order[start : start + BATCH] for start in range(0, len(in_order), BATCH))


def _ids(connection: Connection, wanted: sa.Select[tuple[int]]) -> Sequence[int]:
    return [row.job_id for row in connection.execute(wanted)]


def _is_wanted(task: TaskRecord, wanted: TaskFilter) -> bool:
    return (
        task.state in wanted.states
        and wanted.task_key in (None, task.task_key)
        and wanted.site in (None, task.site)
    )


def _jobs_with(wanted: TaskFilter, *, after: int, limit: int) -> sa.Select[tuple[int]]:
    of_task = [tasks.c.job_id == jobs.c.job_id, tasks.c.state.in_(sorted(wanted.states))]
    if wanted.task_key is not None:
        of_task.append(tasks.c.task_key == wanted.task_key)
    if wanted.site is not None:
        of_task.append(tasks.c.site == wanted.site)
    found = sa.select(jobs.c.job_id).where(jobs.c.job_id > after, sa.exists().where(*of_task))
    if wanted.stream_id is not None:
        found = found.where(jobs.c.stream_id == wanted.stream_id)
    if wanted.projects is not None:
        found = found.where(of_projects(jobs.c.stream_id, wanted.projects))
    return found.order_by(jobs.c.job_id).limit(limit)

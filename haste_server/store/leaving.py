"""What may go once it was copied, and what other jobs still need."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.messages import Place, TaskResult
from haste_core.pipelines import Pipeline
from haste_core.states import Phase, TaskState
from haste_server.store.records import by_stream, load_jobs
from haste_server.store.schema import jobs


@dataclass(frozen=True)
class Going:
    """What an attempt is told of what goes.

    Attributes
    ----------
    leaving : Place, optional
        What an earlier attempt has copied, or has found that it may be deleted.
    removes : bool
        The place that the object is taken from may go once its copy is recorded; of an object that is
        deleted, its file.
    deletes : bool
        The object is to be deleted.
    """

    leaving: Place | None = None
    removes: bool = False
    deletes: bool = False


NOTHING = Going()
MOST_OPEN = 1000  # open jobs of the originals of one claim that are looked at
MOST_OPEN_OF_ONE = 100  # with more, an original stays: one of them needs it


def what_goes(
    connection: Connection,
    claimed: Collection[tuple[JobRecord, TaskRecord]],
    pipelines: Mapping[str, Pipeline],
    deleting: Collection[int],
) -> dict[int, Going]:
    """Tell by task what its next attempt is to remove, or will be; not of those that carry nothing out.

    Parameters
    ----------
    connection : Connection
    claimed : collection of (JobRecord, TaskRecord)
    pipelines : mapping of str to Pipeline
        Of their streams.
    deleting : collection of int
        The tasks that are to delete their objects.
    """
    # A deletion that was decided otherwise since has nothing to remove.
    leaving = {
        task.task_id: task.leaving
        for _, task in claimed
        if task.leaving is not None and (task.task_id in deleting or not task.is_to_delete)
    }
    needed = needed_by_others(connection, [pair for pair in claimed if pair[1].task_id in leaving])

    def goes(job: JobRecord, task: TaskRecord) -> Going:
        left = leaving.get(task.task_id)
        if left is not None and left.sidecars:
            left = without_shared_sidecars(connection, job, left)
        if task.task_id in deleting:
            return Going(left, task.task_id not in needed, deletes=True)
        left = None if task.task_id in needed else left
        place = job.place_for(task.position)
        return Going(left, may_go(place, job, task, pipelines[job.spec.stream_id]), deletes=False)

    carrying = ((job, task) for job, task in claimed if task.decision_id or task.task_id in leaving)
    return {task.task_id: goes(job, task) for job, task in carrying}


def may_go(place: Place, job: JobRecord, task: TaskRecord, pipeline: Pipeline) -> bool:
    """Tell whether the place that a task takes its object from may be removed once the copy is recorded."""
    if task.place is not None:  # a copy of its own, in the tier that the object leaves
        return True
    return pipeline.policy is not None and pipeline.policy.move and place.url == job.spec.source_url


def needed_by_others(connection: Connection, leaving: Collection[tuple[JobRecord, TaskRecord]]) -> set[int]:
    """Find the tasks that were to remove what is the present place of another job of the same object.

    A file that is submitted again in another version, or once with and once without its extension, but with
    equal content, is one file in its tier. Jobs of one original, in whatever streams, need it until they end.
    Of several jobs that are deleting a file, the last one needs nobody's.

    Parameters
    ----------
    connection : Connection
    leaving : collection of (JobRecord, TaskRecord)
        Tasks that have `leaving`.

    Returns
    -------
    set of int
        Of their ids.
    """
    if not leaving:
        return set()
    left = {task.task_id: (job, task.leaving.url) for job, task in leaving if task.leaving is not None}
    names = ((job.spec.stream_id, name) for job, url in left.values() for name in _sharing(job, url))
    ids = {job_id for some in by_stream(names) for job_id in connection.scalars(_OF_SOURCES, some)}
    of_originals, crowded = _open_of_originals(connection, {source_key(url) for _, url in left.values()})
    ids |= of_originals
    present: defaultdict[str, list[JobRecord]] = defaultdict(list)
    for other in load_jobs(connection, ids, lock=False).values():
        if other.place is not None:
            present[other.place.url].append(other)
    return {
        task_id
        for task_id, (job, url) in left.items()
        if source_key(url) in crowded or any(_needs(other, job) for other in present.get(url, ()))
    }


def _open_of_originals(connection: Connection, keys: Collection[int]) -> tuple[set[int], set[int]]:
    """Find the open jobs of originals; and the originals that have too many of them to look at each."""
    found = connection.scalars(_OPEN_OF_ORIGINALS, {"keys": list(keys), "most": MOST_OPEN}).all()
    if len(found) < MOST_OPEN:
        return set(found), set()
    of_each = {
        key: connection.scalars(_OPEN_OF_ORIGINALS, {"keys": [key], "most": MOST_OPEN_OF_ONE}).all()
        for key in keys
    }
    crowded = {key for key, job_ids in of_each.items() if len(job_ids) == MOST_OPEN_OF_ONE}
    return {job_id for job_ids in of_each.values() for job_id in job_ids}, crowded


def _needs(other: JobRecord, job: JobRecord) -> bool:
    """Tell whether a job needs the file where it is, which another job is to remove."""
    if other.job_id == job.job_id or (other.spec.stream_id != job.spec.stream_id and other.ended_at):
        return False
    is_going, is_earlier = any(task.is_deleting for task in other.tasks), other.job_id < job.job_id
    return not (is_going and is_earlier)


def with_whereabouts(
    connection: Connection, job: JobRecord, task: TaskRecord, missed: TaskResult
) -> TaskResult:
    """Say of a file that a task did not find which other job moved it where, or deleted it.

    While the other one is about to remove it, it may yet get its name back, and the task is tried again.
    """
    url = job.place_for(task.position).url
    names = {"stream_id": job.spec.stream_id, "names": _sharing(job, url)}
    ids = {
        *connection.scalars(_OF_ORIGINAL, {"key": source_key(url)}),
        *connection.scalars(_OF_SOURCES, names),
    }
    others = load_jobs(connection, ids - {job.job_id}, lock=False)
    for other in others.values():
        who, where = f"job {other.job_id} of stream {other.spec.stream_id!r}", _present_url(other)
        if any(_is_leaving(its, url) for its in other.tasks):
            how = "deleting it from a trash" if where == url else f"moving it to {where}"
            told = f"{missed.message}; {who} is {how} now"
            return missed.model_copy(update={"message": told, "state": TaskState.REMOTE_TROUBLE})
        if any(_has_left(other, its, url) for its in other.tasks):
            how = f"moved it to {where}. To go on with it, submit it from there"
            if other.deleted_at is not None:
                how = "deleted it from a trash"
            return missed.model_copy(update={"message": f"{missed.message}; {who} has {how}"})
    return missed


def source_key(url: str) -> int:
    """Return the number by which jobs of one source are found; two sources may have the same."""
    return int.from_bytes(hashlib.sha256(url.encode()).digest()[:8], "big", signed=True)


def _is_leaving(task: TaskRecord, url: str) -> bool:
    return task.phase is not Phase.ENDED and task.leaving is not None and task.leaving.url == url


def _has_left(job: JobRecord, task: TaskRecord, url: str) -> bool:
    if job.spec.source_url == url and task.place is not None and task.place.moved:
        return True
    return task.response is not None and url in (task.response.get("removed"), task.response.get("deleted"))


def _present_url(job: JobRecord) -> str:
    return job.place_before(len(job.tasks)).url


def without_shared_sidecars(connection: Connection, job: JobRecord, leaving: Place) -> Place:
    """Take away the sidecars that another image of the stream has there, too: ``X.xml`` is of all ``X.…``."""
    others = load_jobs(connection, _beside(connection, job, leaving) - {job.job_id}, lock=False)
    present = {
        other.place.url_of_sidecar(url)
        for other in others.values()
        if other.place is not None
        for url in other.spec.sidecars
    }
    own = tuple(sidecar for sidecar in leaving.sidecars or () if sidecar.url not in present)
    return leaving.model_copy(update={"sidecars": own or None})


def _beside(connection: Connection, job: JobRecord, leaving: Place) -> set[int]:
    """Find the jobs whose sources are called like the sidecars."""
    folder, slash, _ = job.spec.source_id.rpartition("/")
    stems = {PurePosixPath(unquote(sidecar.source_url)).stem for sidecar in leaving.sidecars or ()}
    starts = [f"{folder}{slash}{stem}{movie}" for stem in stems for movie in _MOVIES]
    return {
        job_id
        for start in starts
        for job_id in connection.scalars(
            _CALLED_LIKE, {"stream_id": job.spec.stream_id, "start": f"{start}.", "end": f"{start}/"}
        )
    }


def _sharing(job: JobRecord, url: str) -> tuple[str, str, str]:
    """List what a source is called that could have the same name in a tier; see `TierStorage.put`."""
    name, suffix = job.spec.source_id, PurePosixPath(unquote(url)).suffix
    return name, name + suffix, name.removesuffix(suffix)


_MOVIES = ("", "_fractions", "_eer")  # EPU: X.jpg and X_fractions.tiff have X.xml
_CALLED_LIKE = (
    sa.select(jobs.c.job_id)
    .where(
        jobs.c.stream_id == sa.bindparam("stream_id"),
        jobs.c.source_id > sa.bindparam("start"),
        jobs.c.source_id < sa.bindparam("end"),
    )
    .limit(100)  # more than that are not images of one stem
)
_OF_SOURCES = sa.select(jobs.c.job_id).where(
    jobs.c.stream_id == sa.bindparam("stream_id"),
    jobs.c.source_id.in_(sa.bindparam("names", expanding=True)),
)
_OF_ORIGINAL = sa.select(jobs.c.job_id).where(jobs.c.source_key == sa.bindparam("key")).limit(100)
_OPEN_OF_ORIGINALS = (
    sa.select(jobs.c.job_id)
    .where(jobs.c.source_key.in_(sa.bindparam("keys", expanding=True)), jobs.c.ended_at.is_(None))
    .limit(sa.bindparam("most", type_=sa.Integer))
)

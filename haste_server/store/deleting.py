"""Objects that are deleted from a trash: which of them may be, and what is left of them here.

See docs/decisions/0105-emptying-a-trash.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.jobs import JobRecord, TaskRecord
from haste_core.messages import TaskResult
from haste_core.states import Due
from haste_server.store.decision_rows import HOLD_OBJECTS
from haste_server.store.schema import decisions, deleted_objects, jobs, objects, streams

STAYS = "it stays: it was decided about anew before its deletion began"


def to_delete(connection: Connection, claimed: Collection[TaskRecord]) -> set[int]:
    """Find the tasks that carry out a deletion which is still the latest decision about their object."""
    if not claimed:
        return set()
    by_decision = {task.decision_id: task.task_id for task in claimed}
    return {by_decision[number] for number in connection.scalars(_LATEST, {"ids": list(by_decision)})}


def without_late_deletions(
    connection: Connection, results: Sequence[TaskResult], found: Mapping[int, tuple[int, int]]
) -> Sequence[TaskResult]:
    """Take back from results the wish to delete objects about which was decided otherwise meanwhile.

    From when such a wish is recorded, no later decision about the object is taken.

    Parameters
    ----------
    connection : Connection
    results : sequence of TaskResult
    found : mapping of int to (int, int)
        By task its job, which this transaction holds, and its position in it.
    """
    asking = {result.task_id for result in results if _asks_to_delete(result)} & found.keys()
    if not asking:
        return results
    held = connection.execute(HOLD_OBJECTS, {"ids": [found[task_id][0] for task_id in asking]})
    decided = {row.decision_id: row.task_id for row in held if row.due is Due.NOTHING}
    granted = {decided[number] for number in connection.scalars(_ENFORCED, {"ids": list(decided)})}
    late = {"leaving": None, "message": STAYS}
    return [
        result.model_copy(update=late) if result.task_id in asking - granted else result for result in results
    ]


def bury(connection: Connection, changes: Iterable[tuple[JobRecord, JobRecord]]) -> None:
    """Keep of objects that were deleted just now when that was."""
    for before, after in changes:
        if after.deleted_at is not None and before.deleted_at is None:
            connection.execute(_BURY, {"id": after.job_id, "deleted": after.deleted_at})
            connection.execute(_FORGET, {"id": after.job_id})


def number_deleted(connection: Connection, stream_id: str, *, by_set: bool) -> int:
    """Count the objects with a score that were deleted; image sets of which nothing is left as one."""
    return connection.scalar(_NUMBER_BY_SETS if by_set else _NUMBER, {"name": stream_id}) or 0


def _asks_to_delete(result: TaskResult) -> bool:
    return result.leaving is not None and result.place is not None and result.leaving.url == result.place.url


_IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_LATEST = (
    sa.select(decisions.c.decision_id)
    .join(objects, objects.c.job_id == decisions.c.job_id)
    .where(
        decisions.c.decision_id.in_(_IDS),
        decisions.c.origin == "deletion",
        objects.c.decision_id == decisions.c.decision_id,
    )
)
_ENFORCED = _LATEST.join(streams, streams.c.stream_id == decisions.c.stream_id).where(
    streams.c.mode == "enforce"
)
_of_set = jobs.alias("of_set")
_IS_LEFT = (
    sa.exists()
    .where(objects.c.job_id == _of_set.c.job_id)
    .where(_of_set.c.stream_id == deleted_objects.c.stream_id)
    .where(_of_set.c.set_key == deleted_objects.c.set_key)
)
_ENTRY = sa.func.coalesce(deleted_objects.c.set_key, sa.cast(deleted_objects.c.job_id, sa.String(20)))
_HAD_SCORES = sa.and_(deleted_objects.c.stream_id == sa.bindparam("name"), deleted_objects.c.score >= 0)
_NUMBER = sa.select(sa.func.count()).where(_HAD_SCORES)
_NUMBER_BY_SETS = sa.select(sa.func.count(_ENTRY.distinct())).where(_HAD_SCORES, ~_IS_LEFT)
_KEPT = [column.name for column in deleted_objects.c if column.name != "deleted_at"]
_BURY = sa.insert(deleted_objects).from_select(
    [*_KEPT, "deleted_at"],
    sa.select(*(objects.c[name] for name in _KEPT), sa.bindparam("deleted", type_=sa.Double)).where(
        objects.c.job_id == sa.bindparam("id")
    ),
)
_FORGET = sa.delete(objects).where(objects.c.job_id == sa.bindparam("id"))

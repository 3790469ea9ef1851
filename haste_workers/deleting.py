"""Deleting an object from the trash in which it lies, in two halves, as moving is done.

See docs/decisions/0105-emptying-a-trash.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from haste_core.errors import PermanentError
from haste_core.messages import Place, Sidecar, TaskMessage
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.sidecars import name_beside
from haste_workers.tiers.trash import InGraceError, TrashTierStorage


def delete(
    job: Mapping[str, Any], task: TaskMessage, told: Mapping[str, Any], context: TaskContext
) -> Answer:
    """Find that an object may be deleted; when that is recorded, delete it.

    Parameters
    ----------
    job : mapping
    task : TaskMessage
        With a decision that deletes.
    told : mapping
        What the response says beside what was deleted.
    context : TaskContext

    Raises
    ------
    TransientError, PermanentError
        Then it is where it was.
    """
    place = task.place
    trash = _trash_of(place, context)
    try:
        if task.leaving is None:
            trash.check_expired(place.url)
            leaving = place.model_copy(update={"sidecars": _own_sidecars(job, place) or None})
            return Answer(told, place, f"{place.url} is deleted next", leaving)
        if task.decision is not None and not task.decision.removes:
            message = f"{place.url} stays: it is the object of another job, too"
            return Answer({**told, "deleted": place.url}, place, message)
        trash.delete(place.url, place.sha256 or "")
    except InGraceError as error:
        return Answer(told, place, str(error))
    stay = _delete_sidecars(task.leaving.sidecars or (), trash)
    return Answer({**told, "deleted": place.url}, place, "; ".join([f"{place.url} was deleted", *stay]))


def _trash_of(place: Place, context: TaskContext) -> TrashTierStorage:
    name = context.tier_name_of(place.url)
    storage = None if name is None else context.tier(name)
    if not isinstance(storage, TrashTierStorage):
        where = "no tier" if name is None else f"the tier {name}, which is no trash"
        raise PermanentError(
            f"{place.url} is not deleted: it is in {where} by this worker's settings; give them the trash "
            "(`driver: trash`) as the server's settings have it"
        )
    return storage


def _own_sidecars(job: Mapping[str, Any], place: Place) -> tuple[Sidecar, ...]:
    """List the sidecars that are called like the object; others may belong to other objects."""
    object_url = PurePosixPath(place.url)
    return tuple(
        sidecar
        for sidecar in place.sidecars or ()
        if name_beside(job, object_url, sidecar.source_url) is not None
    )


def _delete_sidecars(sidecars: tuple[Sidecar, ...], trash: TrashTierStorage) -> list[str]:
    stay = []
    for sidecar in sidecars:
        try:
            trash.delete(sidecar.url, sidecar.sha256)
        except PermanentError as error:
            stay.append(str(error))
    return stay

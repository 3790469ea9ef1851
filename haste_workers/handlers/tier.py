"""Task ``tier``: puts an object where its decision says. It decides nothing, it moves bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from haste_core.errors import PermanentError
from haste_core.messages import DecisionNote, Place, TaskMessage
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.deleting import delete
from haste_workers.durable import size_of
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.imaging.formats.ome_zarr import is_zarr_folder
from haste_workers.moving import remove_left, why_it_stays
from haste_workers.sidecars import put_sidecars


def tier(job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Copy object and sidecars to a tier, verified; remove what an earlier attempt has copied.

    What is to be removed is only answered here (`leaving`). When that is recorded, the task comes again with
    it. So it is with an object that is to be deleted from a trash. A decision of an observing stream is only
    told: nothing is copied.

    Raises
    ------
    PermanentError
        If the task came without a decision, or its tier is not known here.
    BadInputError
        If the object is not the one that was scored.
    """
    HandlerParameters.of(context)
    decision = task.decision
    if decision is None:
        raise PermanentError(
            "this task came without a decision; has the stream's pipeline an interestingness and a policy?"
        )
    if decision.deletes:
        return delete(job, task, {**_told(decision), **_moved_to(task.place)}, context)
    removed = {}
    if task.leaving is not None:
        stays = remove_left(task.leaving, task.place, context)
        removed = {"removed": task.leaving.url}
        if context.tier_name_of(task.place.url) == decision.tier:
            response = {**_told(decision), **_moved_to(task.place), **removed}
            return Answer(response, task.place, "; ".join(stays))
        # It was decided anew since it was copied: it goes on to another tier.
    if not decision.enforce:
        size_bytes = size_of(_object(context))
        return Answer({**_told(decision), "moved": False, "size_bytes": size_bytes, **removed})
    answer = _copy(job, decision, task, context)
    return replace(answer, response={**answer.response, **removed})


def _copy(job: Mapping[str, Any], decision: DecisionNote, task: TaskMessage, context: TaskContext) -> Answer:
    storage = context.tier(decision.tier)
    stored = storage.put(
        _object(context),
        stream_id=context.stream_id,
        source_id=context.source_id,
        sha256=task.place.sha256 or decision.sha256,
    )
    sidecars = put_sidecars(job, context, storage, stored)
    place = Place(
        url=stored.url,
        site=context.settings.site,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        sidecars=sidecars.put or None,
    )
    response = {**_told(decision), **_moved_to(place), **sidecars.told()}
    if not decision.removes or stored.url == task.place.url:
        return Answer(response, place, sidecars.message)
    if reason := why_it_stays(task.place.url, stored.url, context):
        return Answer(response, place, "; ".join(filter(None, (reason, sidecars.message))))
    leaving = task.place.model_copy(
        update={"sha256": stored.sha256, "size_bytes": stored.size_bytes, "sidecars": sidecars.left or None}
    )
    next_step = f"copied to {place.url}; {leaving.url} is removed next"
    return Answer(response, place, "; ".join(filter(None, (next_step, sidecars.message))), leaving)


def _object(context: TaskContext) -> Path:
    path = context.source_path()
    return path if is_zarr_folder(path) else context.source_file()


def _told(decision: DecisionNote) -> dict[str, Any]:
    return {"tier": decision.tier, "interestingness": decision.score, "reason": decision.reason}


def _moved_to(place: Place) -> dict[str, Any]:
    moved = {"moved": True, "size_bytes": place.size_bytes, "url": place.url}
    if place.sidecars is None:
        return moved
    return {**moved, "sidecars": [sidecar.url for sidecar in place.sidecars]}

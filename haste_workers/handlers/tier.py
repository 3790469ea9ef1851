"""Task ``tier``: puts an object where its decision says. It decides nothing, it moves bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haste_core.errors import PermanentError
from haste_core.messages import Place, TaskMessage
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.handlers.parameters import HandlerParameters


def tier(_job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Copy the object into its tier and verify the copy; the original stays.

    A decision of an observing stream is only told: nothing is copied.

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
    source = context.source_file()
    told = {"tier": decision.tier, "interestingness": decision.score, "reason": decision.reason}
    if not decision.enforce:
        return Answer({**told, "moved": False, "size_bytes": source.stat().st_size})
    stored = context.tier(decision.tier).put(
        source,
        stream_id=context.stream_id,
        source_id=context.source_id,
        sha256=task.place.sha256 or decision.sha256,
    )
    place = Place(
        url=stored.url, site=context.settings.site, sha256=stored.sha256, size_bytes=stored.size_bytes
    )
    return Answer({**told, "moved": True, "size_bytes": stored.size_bytes, "url": stored.url}, place)

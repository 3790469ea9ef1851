"""Appending decisions, and bringing the objects that they are about in line with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.decisions import Decision, Origin, size_of
from haste_core.interestingness import value_of
from haste_core.pipelines import Pipeline
from haste_core.states import Due
from haste_server.store.database import Database
from haste_server.store.many_rows import insert_numbered, overwrite
from haste_server.store.schema import NO_SCORE, decisions, objects

SOFTWARE_VERSION = version("haste-server")
HOLDING: frozenset[Origin] = frozenset({"recall"})
"""Of decisions by which an object stays where a person wanted it, whatever its rank."""


@dataclass(frozen=True)
class About:
    """What a decision is about, and what it follows.

    Attributes
    ----------
    supersedes : int, optional
        Number of the earlier decision.
    circumstances : mapping
        What beside features a function could see: metadata, timestamp, location, substream_id.
    holds_tier : bool
        Whether its task is the one that puts the object to its tier.
    set_key : str, optional
        Its image set.
    held : bool
        An earlier decision put it where it is, whatever its rank, and this one leaves it there.
    counts_in : str, optional
        The tier in which it takes room by its rank, if that is not the one that it is put to.
    """

    job_id: int
    task_id: int
    stream_id: str
    source_id: str
    circumstances: Mapping[str, Any]
    supersedes: int | None = None
    pinned: bool = False
    holds_tier: bool = True
    set_key: str | None = None
    held: bool = False
    counts_in: str | None = None


@dataclass(frozen=True)
class Made:
    """A decision that was made, and how.

    Attributes
    ----------
    made_by : str, optional
        Who asked for it; None: the server itself.
    due : Due
        What is to be done about the object now.
    """

    about: About
    decision: Decision
    pipeline: Pipeline
    mode: str
    origin: Origin = "policy"
    made_by: str | None = None
    due: Due = Due.NOTHING


def append(database: Database, connection: Connection, made: Sequence[Made], *, now: float) -> list[int]:
    """Store decisions, and their objects as they leave them; return the decisions' numbers in their order."""
    if not made:
        return []
    numbers = insert_numbered(database, connection, decisions, [_decision_row(one, now) for one in made])
    object_rows = [
        _object_row(one, number) for one, number in zip(made, numbers, strict=True) if one.about.holds_tier
    ]
    if object_rows:
        overwrite(database, connection, objects, object_rows, _CHANGING)
    return numbers


def _decision_row(made: Made, now: float) -> dict[str, Any]:
    about, decision = made.about, made.decision
    return {
        "stream_id": about.stream_id,
        "job_id": about.job_id,
        "task_id": about.task_id,
        "source_id": about.source_id,
        "made_at": now,
        "score": decision.score,
        "tier": decision.tier,
        "reason": decision.reason,
        "mode": made.mode,
        "origin": made.origin,
        "made_by": made.made_by,
        "features": dict(decision.features),
        "circumstances": dict(about.circumstances),
        "pipeline_sha256": made.pipeline.sha256,
        "input_sha256": decision.input_sha256,
        "software_version": SOFTWARE_VERSION,
        "supersedes": about.supersedes,
        "seen": decision.seen,
        "members": None if decision.members is None else list(decision.members),
    }


def _object_row(made: Made, decision_id: int) -> dict[str, Any]:
    about, decision = made.about, made.decision
    return {
        "job_id": about.job_id,
        "stream_id": about.stream_id,
        "set_key": about.set_key,
        "task_id": about.task_id,
        "decision_id": decision_id,
        "score": NO_SCORE if decision.score is None else decision.score,
        "value": value_of_object(decision, made.pipeline),
        "tier": decision.tier,
        "counts_in": about.counts_in or decision.tier,
        "size_bytes": size_of(decision.features),
        "pinned": about.pinned,
        "held": about.held or made.origin in HOLDING,
        "due": made.due,
    }


def value_of_object(decision: Decision, pipeline: Pipeline) -> float | None:
    """Return the one feature that the stream's function reads, if it reads one."""
    spec = pipeline.interestingness
    feature = spec.parameters.get("feature") if spec else None
    return value_of(decision.features, feature) if isinstance(feature, str) else None


_CHANGING = [column.name for column in objects.c if column.name not in ("job_id", "stream_id")]
HOLD_OBJECTS = (
    sa.select(objects)
    .where(objects.c.job_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(objects.c.job_id)
    .with_for_update()
)

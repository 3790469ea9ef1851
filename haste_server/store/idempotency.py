"""Calls that may be repeated: their answers, kept under the keys that clients gave them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.errors import ConflictError, Problem
from haste_core.jobspec import JobSpec
from haste_core.stores import Refused, Submitted
from haste_server.store.schema import idempotency_keys, jobs

KEYS_KEPT_S = 24 * 3600
"""An idempotency key is for repeating a call whose answer was lost; no client does so a day later."""

_SWEEP_EVERY = 16  # calls with a key
_SWEEP_KEYS = 100  # looked at each time: more than were added since, so that the table follows a day's calls


@dataclass
class Sweep:
    """Where in the order of the idempotency keys this process looks next for old ones.

    Attributes
    ----------
    calls : int
        Those with a key since the last look.
    """

    calls: int = 0
    after: str = ""


@dataclass(frozen=True)
class Call:
    """One call that stores jobs.

    Attributes
    ----------
    key : str, optional
        Its idempotency key.
    projects : sequence of str, optional
        Those that its streams may belong to, first that of new ones. None: all.
    """

    specs: Sequence[JobSpec]
    now: float
    key: str | None = None
    projects: Sequence[str] | None = None

    @cached_property
    def request_sha256(self) -> str:
        """The digest of what it asks for."""
        canonical = json.dumps([spec.to_json() for spec in self.specs], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @cached_property
    def kept_key(self) -> str | None:
        """The key as it is kept: others may call theirs alike, who know of other projects."""
        if self.key is None or self.projects is None:
            return self.key
        return hashlib.sha256(json.dumps([self.projects[0], self.key]).encode()).hexdigest()


def known_answers(connection: Connection, calls: Sequence[Call]) -> list[dict[int, Submitted | Refused]]:
    """Find the answers that the keys of calls stand for, by number.

    Those whose jobs were deleted are left out; if any are, or the key is old, it is forgotten.
    """
    keys = [call.kept_key for call in calls if call.kept_key is not None]
    if not keys:
        return [{} for _ in calls]
    # Held, so that of two calls that find a job deleted only one makes a new job.
    held = sa.select(idempotency_keys).where(idempotency_keys.c.idempotency_key.in_(keys)).with_for_update()
    rows = {row.idempotency_key: row for row in connection.execute(held)}
    return [_known(connection, call, rows[call.kept_key]) if call.kept_key in rows else {} for call in calls]


def _known(connection: Connection, call: Call, row: Row[Any]) -> dict[int, Submitted | Refused]:
    known: dict[int, Submitted | Refused] = {}
    if row.created_at >= call.now - KEYS_KEPT_S:
        if row.request_sha256 != call.request_sha256:
            raise ConflictError(
                f"the Idempotency-Key {call.key!r} was used for another request; take a new one"
            )
        known = _still_there(connection, row.answer)
    if len(known) < len(row.answer):
        of_key = idempotency_keys.c.idempotency_key == call.kept_key
        connection.execute(sa.delete(idempotency_keys).where(of_key))
    return known


def _still_there(connection: Connection, answer: list[dict[str, Any]]) -> dict[int, Submitted | Refused]:
    asked = {item["job_id"] for item in answer if "job_id" in item}
    there = set(connection.scalars(sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(asked))))
    return {
        number: Submitted(item["job_id"], created=False)
        if "job_id" in item
        else Refused(tuple(Problem(**problem) for problem in item["problems"]))
        for number, item in enumerate(answer)
        if item.get("job_id") in there or "problems" in item
    }


def remember(connection: Connection, answered: Sequence[tuple[Call, Sequence[Submitted | Refused]]]) -> None:
    """Keep the answers of calls under their keys."""
    rows = [
        {
            "idempotency_key": call.kept_key,
            "request_sha256": call.request_sha256,
            "answer": [_shown(item) for item in answer],
            "created_at": call.now,
        }
        for call, answer in answered
        if call.key is not None
    ]
    if rows:
        connection.execute(sa.insert(idempotency_keys), rows)


def _shown(item: Submitted | Refused) -> dict[str, Any]:
    if isinstance(item, Submitted):
        return {"job_id": item.job_id}
    return {"problems": [{"where": problem.where, "what": problem.what} for problem in item.problems]}


def drop_old_keys(connection: Connection, sweep: Sweep, calls: Sequence[Call]) -> None:
    """Look at a few keys now and then, in the order of the primary key, and drop those that are old."""
    sweep.calls += sum(call.key is not None for call in calls)
    if sweep.calls < _SWEEP_EVERY:
        return
    sweep.calls = 0
    columns = (idempotency_keys.c.idempotency_key, idempotency_keys.c.created_at)
    rows = connection.execute(
        sa.select(*columns).where(columns[0] > sweep.after).order_by(columns[0]).limit(_SWEEP_KEYS)
    ).all()
    sweep.after = rows[-1].idempotency_key if len(rows) == _SWEEP_KEYS else ""
    old = [row.idempotency_key for row in rows if row.created_at < calls[0].now - KEYS_KEPT_S]
    if old:
        connection.execute(sa.delete(idempotency_keys).where(columns[0].in_(old)))

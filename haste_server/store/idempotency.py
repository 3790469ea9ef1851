"""Calls that may be repeated: their answers, kept under the keys that clients gave them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

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
    """Where in the order of the idempotency keys this process looks next for old ones."""

    calls: int = 0
    after: str = ""


def fingerprint(specs: Sequence[JobSpec]) -> str:
    """Digest what a call asks for."""
    canonical = json.dumps([spec.to_json() for spec in specs], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def known_answers(
    connection: Connection, key: str, request_sha256: str, now: float
) -> dict[int, Submitted | Refused]:
    """Find the answers that a key stands for, by number.

    Those whose jobs were deleted are left out; if any are, or the key is old, it is forgotten.
    """
    of_key = idempotency_keys.c.idempotency_key == key
    # Held, so that of two calls that find a job deleted only one makes a new job.
    row = connection.execute(sa.select(idempotency_keys).where(of_key).with_for_update()).one_or_none()
    if row is None:
        return {}
    known: dict[int, Submitted | Refused] = {}
    if row.created_at >= now - KEYS_KEPT_S:
        if row.request_sha256 != request_sha256:
            raise ConflictError(f"the Idempotency-Key {key!r} was used for another request; take a new one")
        known = _standing(connection, row.answer)
    if len(known) < len(row.answer):
        connection.execute(sa.delete(idempotency_keys).where(of_key))
    return known


def _standing(connection: Connection, answer: list[dict[str, Any]]) -> dict[int, Submitted | Refused]:
    asked = {item["job_id"] for item in answer if "job_id" in item}
    there = set(connection.scalars(sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(asked))))
    return {
        number: Submitted(item["job_id"], created=False)
        if "job_id" in item
        else Refused(tuple(Problem(**problem) for problem in item["problems"]))
        for number, item in enumerate(answer)
        if item.get("job_id") in there or "problems" in item
    }


def remember(
    connection: Connection, key: str, request_sha256: str, answer: list[Submitted | Refused], now: float
) -> None:
    """Keep the answer of a call under its key."""
    items = [
        {"job_id": item.job_id}
        if isinstance(item, Submitted)
        else {"problems": [{"where": problem.where, "what": problem.what} for problem in item.problems]}
        for item in answer
    ]
    row = {"idempotency_key": key, "request_sha256": request_sha256, "answer": items, "created_at": now}
    connection.execute(sa.insert(idempotency_keys), [row])


def drop_old_keys(connection: Connection, sweep: Sweep, now: float) -> None:
    """Look at a few keys now and then, in the order of the primary key, and drop those that are old."""
    sweep.calls += 1
    if sweep.calls % _SWEEP_EVERY:
        return
    columns = (idempotency_keys.c.idempotency_key, idempotency_keys.c.created_at)
    rows = connection.execute(
        sa.select(*columns).where(columns[0] > sweep.after).order_by(columns[0]).limit(_SWEEP_KEYS)
    ).all()
    sweep.after = rows[-1].idempotency_key if len(rows) == _SWEEP_KEYS else ""
    old = [row.idempotency_key for row in rows if row.created_at < now - KEYS_KEPT_S]
    if old:
        connection.execute(sa.delete(idempotency_keys).where(columns[0].in_(old)))

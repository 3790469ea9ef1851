"""Objects that go on from a tier to the next one, since it is full or they were there for long enough."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from haste_core.decisions import Decision
from haste_core.states import Due
from haste_core.tier_limits import TierLimits
from haste_core.trashes import DAY_S
from haste_server.store.redeciding import Redeciding
from haste_server.store.schema import decisions, objects, streams


class PassingOn(Redeciding):
    """The engine's view of full tiers."""

    def pass_on(self, tier: str, limits: TierLimits, *, now: float, limit: int) -> int:
        """Decide that objects go on from a tier; see `haste_core.ports.TaskStore.pass_on`."""
        return self._pass_on_old(tier, limits, now, limit) or self._pass_on_lowest(tier, limits, now, limit)

    def held_bytes(self, tier: str) -> int:
        """Sum up what the objects in a tier hold."""
        return self.database.read(lambda connection: connection.scalar(_BYTES, {"tier": tier}) or 0)

    def _pass_on_old(self, tier: str, limits: TierLimits, now: float, limit: int) -> int:
        if limits.retain_days is None:
            return 0
        wanted = {"tier": tier, "before": now - limits.retain_days * DAY_S, "most": limit}
        job_ids = self.database.read(lambda connection: connection.scalars(_OLD, wanted).all())
        why = f"in {tier} for {limits.retain_days:g} days"
        return self._decide_on(job_ids, tier, limits.next, why, "retention", now)

    def _pass_on_lowest(self, tier: str, limits: TierLimits, now: float, limit: int) -> int:
        quota_bytes = limits.quota_bytes
        if quota_bytes is None:
            return 0

        def work(connection: Connection) -> list[int]:
            excess_bytes = (connection.scalar(_BYTES, {"tier": tier}) or 0) - quota_bytes
            chosen = []
            for row in connection.execute(_LOWEST, {"tier": tier, "most": limit if excess_bytes > 0 else 0}):
                if excess_bytes <= 0:
                    break
                chosen.append(row.job_id)
                excess_bytes -= row.size_bytes
            return chosen

        why = f"of the lowest scores in {tier}, which holds more than its quota of {quota_bytes:,} bytes"
        return self._decide_on(self.database.read(work), tier, limits.next, why, "quota", now)

    def _decide_on(
        self,
        job_ids: Collection[int],
        tier: str,
        following: str,
        why: str,
        origin: Literal["quota", "retention"],
        now: float,
    ) -> int:
        def passed_on(earlier: Decision) -> Decision | None:
            if earlier.tier != tier:  # decided otherwise in between
                return None
            return replace(earlier, tier=following, reason=f"goes on to {following}: {why}")

        return self.redecide(dict.fromkeys(job_ids, passed_on), origin=origin, made_by=None, now=now)


_IN_TIER = objects.join(streams, streams.c.stream_id == objects.c.stream_id)
_STORED = sa.and_(objects.c.tier == sa.bindparam("tier"), streams.c.mode == "enforce")
_MAY_GO = sa.and_(_STORED, objects.c.pinned.is_(False))
_MOST = sa.bindparam("most", type_=sa.Integer)
_OLD = (
    sa.select(objects.c.job_id)
    .select_from(_IN_TIER.join(decisions, decisions.c.decision_id == objects.c.decision_id))
    .where(_MAY_GO, objects.c.due == Due.NOTHING, decisions.c.made_at < sa.bindparam("before"))
    .order_by(objects.c.job_id)
    .limit(_MOST)
)
_BYTES = (
    sa.select(sa.cast(sa.func.sum(objects.c.size_bytes), sa.BigInteger)).select_from(_IN_TIER).where(_STORED)
)
_LOWEST = (
    sa.select(objects.c.job_id, objects.c.size_bytes)
    .select_from(_IN_TIER)
    # What is about to come counts already: if it has the lowest score, no better one goes on in its place.
    .where(_MAY_GO, objects.c.due.in_((Due.NOTHING, Due.MOVE)), objects.c.size_bytes > 0)
    .order_by(objects.c.score, objects.c.job_id.desc())  # of equals, the first is the better one
    .limit(_MOST)
)

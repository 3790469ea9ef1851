"""What monitoring asks, over all streams."""

from __future__ import annotations

import sqlalchemy as sa

from haste_core.monitoring import TierTotal
from haste_server.store.records import SqlPart
from haste_server.store.schema import objects


class Monitoring(SqlPart):
    """A `haste_core.monitoring.MonitoringStore`."""

    def tier_totals(self) -> dict[str, TierTotal]:
        """Sum up tiers; see `haste_core.monitoring.MonitoringStore.tier_totals`."""
        totals: dict[str, TierTotal] = {}
        for row in self.database.read(lambda connection: connection.execute(_TIERS).all()):
            former = totals.get(row.tier, TierTotal(0, 0))
            totals[row.tier] = TierTotal(former.count + row.number, former.size_bytes + int(row.size_bytes))
        return totals


# By stream, too: in that order `ix_objects_tier` has them, so that nothing is sorted.
_TIERS = sa.select(
    objects.c.tier,
    sa.func.count().label("number"),
    sa.func.sum(objects.c.size_bytes).label("size_bytes"),
).group_by(objects.c.stream_id, objects.c.tier)

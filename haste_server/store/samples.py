"""Some images of a stream with all that was measured of them, for figures."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.figures import SampledImage
from haste_server.store.records import SqlPart
from haste_server.store.schema import NO_INDEX, NO_SCORE, decisions, jobs, objects

# Numbers of jobs are mixed by a product modulo a prime: every n-th of them could always be the same well.
_FACTOR, _PRIME = 48271, 65537


class Samples(SqlPart):
    """What figures are drawn from."""

    def sampled(self, stream_id: str, *, about: int) -> list[SampledImage]:
        """Load images; see `haste_core.figures.FigureStore.sampled`."""

        def work(connection: Connection) -> list[SampledImage]:
            count = connection.scalar(_COUNT, {"name": stream_id}) or 0
            share = _PRIME if count <= about else max(1, _PRIME * about // count)
            return [_image(row) for row in connection.execute(_SAMPLE, {"name": stream_id, "share": share})]

        return self.database.read(work)


def _image(row: Row[Any]) -> SampledImage:
    taken_at = row.circumstances.get("timestamp")
    return SampledImage(
        job_id=row.job_id,
        index=None if row.stream_index == NO_INDEX else row.stream_index,
        taken_at=row.created_at if taken_at is None else taken_at,
        score=None if row.score == NO_SCORE else row.score,
        tier=row.tier,
        features=row.features,
        metadata=row.circumstances.get("metadata") or {},
    )


_COUNT = sa.select(sa.func.count()).where(objects.c.stream_id == sa.bindparam("name"))
_SAMPLE: sa.Select[Any] = (
    sa.select(
        objects.c.job_id,
        jobs.c.stream_index,
        jobs.c.created_at,
        objects.c.score,
        objects.c.tier,
        decisions.c.features,
        decisions.c.circumstances,
    )
    .join(jobs, jobs.c.job_id == objects.c.job_id)
    .join(decisions, decisions.c.decision_id == objects.c.decision_id)
    .where(
        objects.c.stream_id == sa.bindparam("name"),
        (objects.c.job_id * _FACTOR) % _PRIME < sa.bindparam("share"),
    )
    .order_by(objects.c.job_id)
)

"""Selectors: which ready tasks of a queue go next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from haste_core.ports import Selector
from haste_core.routing import Route
from haste_core.states import Phase
from haste_server.settings import SelectorName
from haste_server.store.database import Database
from haste_server.store.schema import tasks


class HighestRank:
    """The highest rank first, as without a selector, but never more in flight than there are free slots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose(self, route: Route, free_slots: int, *, now: float) -> list[int]:  # noqa: ARG002
        """Choose tasks by priority, age, and number in the stream."""
        order = (tasks.c.order_key, tasks.c.stream_index, tasks.c.task_id)
        return _first(self._database, route, free_slots, *order)


class NewestFirst:
    """What became ready last goes first, whatever its priority.

    For what somebody watches while the experiment runs: the image that was just taken is scored now, and what
    has gathered meanwhile when there is time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose(self, route: Route, free_slots: int, *, now: float) -> list[int]:  # noqa: ARG002
        """Choose tasks by when they became ready; of those that did so together, the last submitted."""
        return _first(self._database, route, free_slots, tasks.c.ready_at.desc(), tasks.c.task_id.desc())


SELECTORS: Mapping[SelectorName, Callable[[Database], Selector]] = {  # those that keep nothing in mind
    "highest-rank": HighestRank,
    "newest-first": NewestFirst,
}


def _first(database: Database, route: Route, count: int, *order: sa.ColumnElement[Any]) -> list[int]:
    # Both orders are those of an index behind phase, key and site, so only `count` entries are read.
    chosen = (
        sa.select(tasks.c.task_id)
        .where(
            tasks.c.phase == Phase.READY,
            tasks.c.task_key == route.task_key,
            tasks.c.site == route.site,
        )
        .order_by(*order)
        .limit(count)
    )
    return list(database.read(lambda connection: connection.scalars(chosen).all()))

"""The selector of a microscope's computer: which image is preprocessed next, and which one is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from haste_core.edge_images import EDGE_KEYS, PREPROCESS, EdgeStore
from haste_core.ports import Clock
from haste_core.routing import Route
from haste_server.engine.edge_site import EdgeSite

LOOK_EVERY_S = 1.0


class EdgeSelector:
    """Chooses tasks of the keys `preprocess` and `upload` by the schedules of their streams.

    Both keys need it, and the same one. The older stream goes first; what it leaves of cores and link is the
    next one's. Before it chooses, it reads what became of the images at the workers, and which are new. What
    takes longer, `step` does in a thread of its own: reading all after a start, finding the nature of courses
    anew, and finding what was cancelled or asked for again.

    Parameters
    ----------
    store : EdgeStore
    clock : Clock
    """

    def __init__(self, store: EdgeStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sites: dict[str, EdgeSite] = {}
        self._awake = threading.Event()
        self._stopping = False

    def choose(self, route: Route, free_slots: int, *, now: float) -> list[int]:
        """Choose tasks, at most `free_slots`; none while nothing had better be begun."""
        if route.task_key not in EDGE_KEYS:
            return []
        site = self._sites.get(route.site)
        if site is None:
            site = self._sites[route.site] = EdgeSite(self._store, route.site)
        if not site.is_loaded:
            self._awake.set()
            return []
        with site.lock:
            site.look_before_choice(now)
            chosen = self._pick(site, route.task_key, free_slots, now)
            if site.unfitted():
                self._awake.set()
        return chosen

    def _pick(self, site: EdgeSite, key: str, free_slots: int, now: float) -> list[int]:
        pick: Callable[[], int | None]
        if key == PREPROCESS:
            pick = partial(site.pick_to_preprocess, now, cores=site.preprocessing + free_slots)
        else:
            pick = partial(site.pick_to_upload, now)
        picked: list[int] = []
        while len(picked) < free_slots and (task_id := pick()) is not None:
            picked.append(task_id)
        return picked

    def step(self) -> None:
        """Wait, then do what would delay a choice."""
        self._awake.wait(LOOK_EVERY_S)
        self._awake.clear()
        for site in list(self._sites.values()):
            if self._stopping:
                return
            if not site.is_loaded:
                site.load(self._clock())
            site.fit()
            site.review(self._clock())

    def stop(self) -> None:
        """End the wait."""
        self._stopping = True
        self._awake.set()

"""What `/metrics` shows beside counts: how the parts of the server are, and what its database knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from haste_core.dead_letters import DeadLetters
from haste_core.monitoring import MonitoringStore, TierTotal
from haste_core.ports import Clock, QueueView
from haste_core.routing import Route
from haste_core.stores import WorkerStore, WorkerView
from haste_server.api.waiting import routes_of
from haste_server.metrics.counts import MOST_NAMED, OTHERS
from haste_server.metrics.lookout import Lookout

HEALTH_PATIENCE_S = 3.0
FIGURES_PATIENCE_S = 5.0  # with the former, less than Prometheus' own ten seconds


@dataclass(frozen=True)
class Seen:
    """What the database knew at a time."""

    queues: Sequence[QueueView]
    workers: Sequence[WorkerView]
    tiers: Mapping[str, TierTotal]
    at: float


class Measuring:
    """Finds out how the server is; a database that is away makes nobody wait for long.

    Parameters
    ----------
    workers : WorkerStore
    monitoring : MonitoringStore
    readiness : callable
        Tells ``"ok"`` or the trouble of each part.
    dead_letters : callable
        Tells which messages nobody could read; None while that is not known.
    clock : callable
    silence_s : float
        A worker that was not heard of for so long is taken for gone.
    """

    def __init__(
        self,
        *,
        workers: WorkerStore,
        monitoring: MonitoringStore,
        readiness: Callable[[], Mapping[str, str]],
        dead_letters: Callable[[], DeadLetters | None],
        clock: Clock,
        silence_s: float,
    ) -> None:
        self._workers = workers
        self._monitoring = monitoring
        self._dead_letters = dead_letters
        self._clock = clock
        self._silence_s = silence_s
        self._health = Lookout(readiness, clock=clock, patience_s=HEALTH_PATIENCE_S)
        self._seen = Lookout(self._look, clock=clock, patience_s=FIGURES_PATIENCE_S)

    def families(self) -> Iterator[Metric]:
        """Go through what is known now; what is not is left out."""
        yield InfoMetricFamily("haste_build", "What runs", {"version": version("haste-server")})
        health = self._health.get()
        # Who does not say within seconds whether it is there is as good as away.
        parts = {"database": "it does not answer"} if health is None else health
        yield _gauge(
            "part_up",
            "Whether a part of the server can work",
            ["part"],
            {(part,): float(said == "ok") for part, said in parts.items()},
        )
        letters = self._dead_letters()
        if letters is not None:
            yield _gauge("dead_letters", "Messages that nobody could read", [], {(): letters.count})
        seen = self._seen.get(or_former=True) if parts["database"] == "ok" else None
        if seen is not None:
            yield from self._of(seen)

    def _look(self) -> Seen:
        at = self._clock()
        return Seen(
            queues=self._workers.queues(),
            workers=self._workers.workers(seen_since=at - self._silence_s),
            tiers=self._monitoring.tier_totals(),
            at=at,
        )

    def _of(self, seen: Seen) -> Iterator[Metric]:
        age_s = max(0.0, self._clock() - seen.at)
        yield _gauge("figures_age_seconds", "How old figures of the database are", [], {(): age_s})
        yield from _of_queues(_few_queues(seen), seen)
        yield from _of_workers(seen.workers)
        yield from _of_tiers(seen.tiers)


def _few_queues(seen: Seen) -> Sequence[tuple[QueueView, int]]:
    """List queues with their live workers, the fullest by name, and all further ones as one."""
    live = Counter(route for view in seen.workers for route in routes_of(view))
    counted = {queue.route: queue for queue in seen.queues}
    all_queues = [counted.get(route) or QueueView(route) for route in counted.keys() | live.keys()]
    by_length = sorted(all_queues, key=lambda queue: (-queue.ready - queue.handed_out, queue.route))
    fullest, rest = by_length[:MOST_NAMED], by_length[MOST_NAMED:]
    named = [(queue, live[queue.route]) for queue in sorted(fullest, key=lambda one: one.route)]
    if rest:
        named.append((_together(rest), sum(live[queue.route] for queue in rest)))
    return named


def _together(queues: Sequence[QueueView]) -> QueueView:
    oldest = [queue.oldest_ready_at for queue in queues if queue.oldest_ready_at is not None]
    return replace(
        QueueView(OTHERS),
        ready=sum(queue.ready for queue in queues),
        delayed=sum(queue.delayed for queue in queues),
        handed_out=sum(queue.handed_out for queue in queues),
        oldest_ready_at=min(oldest, default=None),
    )


def _of_queues(queues: Sequence[tuple[QueueView, int]], seen: Seen) -> Iterator[Metric]:
    names = ["key", "site"]
    yield _gauge(
        "queue_tasks",
        "Tasks on their way, counted up to 100,000 for each phase",
        [*names, "phase"],
        {
            (*_names(queue.route), phase): getattr(queue, phase)
            for queue, _ in queues
            for phase in ("ready", "delayed", "handed_out")
        },
    )
    yield _gauge(
        "queue_oldest_seconds",
        "How long the oldest ready task has waited",
        names,
        {
            _names(queue.route): 0.0
            if queue.oldest_ready_at is None
            else max(0.0, seen.at - queue.oldest_ready_at)
            for queue, _ in queues
        },
    )
    live = {_names(queue.route): number for queue, number in queues}
    yield _gauge("queue_workers", "Live workers that take tasks from a queue", names, live)


def _of_workers(views: Sequence[WorkerView]) -> Iterator[Metric]:
    programs: Counter[str] = Counter()
    slots: Counter[str] = Counter()
    busy: Counter[str] = Counter()
    known = set(sorted({view.presence.site for view in views})[:MOST_NAMED])
    for view in views:
        site = view.presence.site if view.presence.site in known else OTHERS.site
        programs[site] += 1
        slots[site] += view.presence.slots
        busy[site] += sum(held.started_at is not None for held in view.presence.held)
    for name, what, numbers in (
        ("workers", "Live workers", programs),
        ("worker_slots", "Tasks that live workers can run at a time", slots),
        ("worker_tasks", "Tasks that live workers run", busy),
    ):
        yield _gauge(name, what, ["site"], {(site,): number for site, number in numbers.items()})


def _of_tiers(tiers: Mapping[str, TierTotal]) -> Iterator[Metric]:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for number, (name, total) in enumerate(sorted(tiers.items())):
        tier = name if number < MOST_NAMED else OTHERS.task_key
        counts[tier] += total.count
        sizes[tier] += total.size_bytes
    yield _gauge("tier_objects", "Objects in a tier, by decision", ["tier"], _by_tier(counts))
    yield _gauge("tier_bytes", "Their sizes", ["tier"], _by_tier(sizes))


def _by_tier(numbers: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(tier,): number for tier, number in numbers.items()}


def _names(route: Route) -> tuple[str, ...]:
    return route.task_key, route.site


def _gauge(
    name: str, what: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"haste_{name}", what, labels=labels)
    for place, value in values.items():
        family.add_metric(place, value)
    return family

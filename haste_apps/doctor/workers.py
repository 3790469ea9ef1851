"""The workers of a server: who is there, what nobody takes, and the tiers that they write to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from haste_apps.doctor.findings import Finding, ok, unknown, warning, wrong
from haste_apps.doctor.server import CLOCK_TOLERANCE_S
from haste_client import HasteClient, HasteError
from haste_client.answers import PipelineName
from haste_client.liveness import KnownTierAnswer, QueueAnswer, WorkerAnswer

CHECKS = ("workers", "queues", "tiers", "versions")
TIER_KEY = "tier"


def examine_workers(client: HasteClient, *, here: str, at_server: str) -> Iterator[Finding]:
    """Look at the workers, as the server knows them.

    Parameters
    ----------
    client : HasteClient
    here, at_server : str
        Versions of the software.
    """
    try:
        answer, tiers, pipelines = client.workers(), client.tiers(), client.pipelines()
    except HasteError as error:
        for check in CHECKS:
            yield unknown(check, str(error))
        return
    yield _presence(answer.workers)
    yield from _clocks(answer.workers)
    yield from _queues(answer.queues)
    yield from _keys(pipelines, answer.workers)
    yield from _tiers(tiers, answer.workers)
    yield _versions(here, at_server, answer.workers)


def _presence(workers: Sequence[WorkerAnswer]) -> Finding:
    if not workers:
        return wrong(
            "workers",
            "no worker is alive: images that are submitted wait",
            "Whoever runs the server: start haste-worker. A server on one computer starts its own workers, "
            "which takes some seconds, unless its settings say `workers: 0`: ask again, or look at its log.",
        )
    by_site: dict[str, set[str]] = defaultdict(set)
    for worker in workers:
        by_site[worker.site].update(worker.keys)
    taken = "; ".join(f"{', '.join(sorted(keys))} at {site}" for site, keys in sorted(by_site.items()))
    return ok("workers", f"{len(workers)} alive: {taken}")


def _clocks(workers: Sequence[WorkerAnswer]) -> Iterator[Finding]:
    hosts = {worker.host: worker.clock_ahead_s for worker in workers}
    for host, ahead_s in sorted(hosts.items()):
        if abs(ahead_s) > CLOCK_TOLERANCE_S:
            side = "ahead of" if ahead_s > 0 else "behind"
            yield warning(
                "clocks",
                f"the clock of {host}, where workers run, is {abs(ahead_s):.0f} s {side} the server's",
                "Let both set their clocks by the network (NTP): the times of tasks are off.",
            )


def _queues(queues: Sequence[QueueAnswer]) -> Iterator[Finding]:
    untaken = [queue for queue in queues if queue.message and queue.ready + queue.delayed]
    for queue in untaken:
        key, site, waiting = queue.task_key, queue.site, queue.ready + queue.delayed
        yield wrong(
            "queues",
            f"{waiting}{' and more' if queue.more else ''} tasks wait: {queue.message}",
            f"Start a worker that takes them (haste-worker --keys {key} --site {site}), or give them up: "
            f"haste cancel --key {key} --at-site {site}",
        )
    if not untaken:
        yield ok("queues", "all tasks that wait have workers")


def _keys(pipelines: Sequence[PipelineName], workers: Sequence[WorkerAnswer]) -> Iterator[Finding]:
    """Look for steps of pipelines that nobody would take, before an image waits for one."""
    taken = {key for worker in workers for key in worker.keys}
    untaken: dict[str, list[str]] = defaultdict(list)
    for pipeline in pipelines:
        for key in pipeline.keys:
            if key not in taken:
                untaken[key].append(pipeline.name)
    for key, names in sorted(untaken.items()) if workers else ():
        yield warning(
            "queues",
            f"no live worker takes {key}: images of the pipelines {', '.join(names)} would wait for it",
            f"If one of them is to be used, start a worker that takes it: haste-worker --keys {key}",
        )


def _tiers(tiers: Sequence[KnownTierAnswer], workers: Sequence[WorkerAnswer]) -> Iterator[Finding]:
    if not any(TIER_KEY in worker.keys for worker in workers):
        yield unknown("tiers", "no live worker puts images to tiers")
        return
    for tier in tiers:
        for trouble, hosts in _troubles(tier).items():
            yield wrong(
                "tiers",
                f"{tier.tier} cannot be written to from {', '.join(hosts)}: {trouble}",
                "Put right what it names at that computer; then haste retry --key tier --state failed",
            )
    untried = [tier.tier for tier in tiers if not tier.workers]
    if untried:
        yield warning(
            "tiers",
            f"no live worker knows {', '.join(untried)}: images that are decided to go there cannot",
            "If a policy in use names one, name it under `tiers:` in worker.yaml. A worker that has just "
            "started tells it in some seconds.",
        )
    good = [tier.tier for tier in tiers if tier.workers and not _troubles(tier)]
    if good:
        yield ok("tiers", f"can be written to: {', '.join(good)}")


def _troubles(tier: KnownTierAnswer) -> dict[str, list[str]]:
    """List the computers from which a tier cannot be written to, by what is in the way."""
    troubles: dict[str, list[str]] = defaultdict(list)
    for tried in tier.workers:
        place = f"{tried.host} ({tried.site})"
        if not tried.is_writable and place not in troubles[tried.trouble]:
            troubles[tried.trouble].append(place)
    return dict(troubles)


def _versions(here: str, at_server: str, workers: Sequence[WorkerAnswer]) -> Finding:
    told = {f"workers on {worker.host}": worker.version for worker in workers if worker.version}
    others = {
        who: version for who, version in {"this computer": here, **told}.items() if version != at_server
    }
    if not others:
        return ok("versions", f"{at_server} here, at the server and at its workers")
    listed = ", ".join(f"{who}: {version}" for who, version in sorted(others.items()))
    return warning(
        "versions",
        f"the server has version {at_server}, others not ({listed})",
        "Install the server's version everywhere.",
    )

"""Deciding as the engine does, in this process; and moving, as workers do."""

import threading
from typing import Any

from haste_core.messages import Place, TaskMessage
from haste_core.pipelines import Pipeline
from haste_core.undecided import Answer, Undecided
from haste_server.engine.evaluation import StreamsSoFar, evaluate
from haste_server.engine.evaluator import Judge
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted


class _InProcess:
    """Answers as the evaluator's child does, and remembers what it was asked."""

    def __init__(self, judge: Judge) -> None:
        self._streams = StreamsSoFar(judge._pages)
        self.asked: list[str] = []

    def ask(self, item: Undecided) -> Answer:
        self.asked.append(item.source_id)
        return evaluate(item, self._streams)


def settle(store: SqlStore, *, now: float = NOW) -> list[str]:
    """Decide about all that waits for it, at first or once more; return who was asked about."""
    judge = Judge(
        store=store, released=lambda: None, time_limit_s=5, clock=lambda: now, stopping=threading.Event()
    )
    child = _InProcess(judge)
    judge._child = child  # type: ignore[assignment]
    while waiting := store.undecided(limit=100, now=now):
        judge.decide(waiting)
    while due := store.to_redecide(limit=100):
        judge.redecide(due)
    return child.asked


def carry_out(store: SqlStore, *, now: float = NOW) -> list[TaskMessage]:
    """Start all moves, and run all tier tasks that are ready."""
    while store.start_moves(limit=200, now=now):
        pass
    messages = claim(store, "tier", now=now)
    for message in messages:
        assert message.decision is not None
        place = Place(url=f"file:///{message.decision.tier}/{message.job['source_id']}", site="default")
        enforced = message.decision.enforce
        response = {"tier": message.decision.tier, "moved": enforced}
        store.record([result_of(message, response=response, place=place if enforced else None)], now=now)
    return messages


def with_policy(policy: dict[str, Any], **function: Any) -> Pipeline:
    """Make the bench's pipeline with another policy, and another function if one is given."""
    written = PIPELINE.to_json()
    return Pipeline.parse(
        {**written, "policy": policy, "interestingness": {**written["interestingness"], **function}}
    )


def cut_at(border: float, low: str = "warm", high: str = "hot") -> dict[str, Any]:
    """Make a policy of two intervals."""
    intervals = [{"lo": 0, "hi": border, "tier": low}, {"lo": border, "hi": 1, "tier": high}]
    return {"intervals": intervals, "undefined": "cold"}


def decided(
    store: SqlStore, pipeline: Pipeline, plls: dict[str, float], *, mode: Any = "enforce"
) -> list[int]:
    """Make a stream of images with these values, decided about and where they belong; return their jobs."""
    store.create_stream("s", pipeline, mode, now=NOW)
    jobs = submitted(store, *[image(name, value) for name, value in plls.items()])
    settle(store)
    carry_out(store)
    return jobs


def image(name: str, plls: float) -> Any:
    """Return the spec of an image that was measured."""
    response = {"focus-score": {"plls": plls, "size_bytes": 100, "sha256": "a" * 64}}
    return spec("tier", source_id=name, stream_id="s", response=response)


def tiers_of(store: SqlStore) -> dict[str, int]:
    """Count a stream's objects by tier."""
    return {name: tier.count for name, tier in store.progress("s").tiers.items()}


def places(store: SqlStore, jobs: list[int]) -> list[str]:
    """List where objects lie."""
    return [place.url for job_id in jobs if (place := store.job(job_id).place) is not None]

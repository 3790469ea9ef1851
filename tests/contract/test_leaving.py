"""Removing what was copied, the second half of moving, on every database."""

from dataclasses import replace
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.messages import Outcome, Place, Sidecar, TaskMessage
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted

ORIGINAL = "root://nas/x.tif"


def moving(move: bool) -> Pipeline:
    pipeline = PIPELINE.to_json()
    return Pipeline.parse(pipeline | {"policy": pipeline["policy"] | {"move": move}})


def handed_out(store: SqlStore, *, move: bool = True, **more: Any) -> TaskMessage:
    """Submit an object to a stream that enforces, up to the hand-out of its `tier` task."""
    store.create_stream("s", moving(move), "enforce", now=NOW)
    submitted(store, spec("tier", stream_id="s", response={"focus-score": {"plls": -1.0}}, **more))
    [waiting] = store.undecided(limit=10, now=NOW)
    store.record_decisions([(waiting, Decision(0.2, "hot", "why", "f" * 64, {}))], now=NOW)
    [message] = claim(store, "tier")
    return message


def copied(store: SqlStore, message: TaskMessage, tier: str = "hot") -> Place:
    """Record what a worker answers that has copied an object; return what it leaves."""
    leaving = message.place.model_copy(update={"sha256": "a" * 64, "size_bytes": 7})
    place = Place(url=f"file:///{tier}/x.tif", site="default", sha256="a" * 64, size_bytes=7)
    [change] = store.record([result_of(message, place=place, leaving=leaving, response={"n": 1})], now=NOW)
    assert change.state is TaskState.REGISTERED
    return leaving


@pytest.mark.parametrize("move", [False, True])
def test_an_original_may_go_only_if_the_policy_says_so(store: SqlStore, move: bool) -> None:
    message = handed_out(store, move=move)
    assert message.decision is not None
    assert (message.place.url, message.leaving, message.decision.removes) == (ORIGINAL, None, move)


def test_what_a_task_leaves_is_recorded_with_the_place_and_removed_by_its_next_attempt(
    store: SqlStore,
) -> None:
    first = handed_out(store)
    leaving = copied(store, first)
    job = store.job(first.job_id)
    assert job.state is TaskState.REGISTERED
    assert (job.tasks[0].place, job.tasks[0].leaving) == (
        Place(url="file:///hot/x.tif", site="default", sha256="a" * 64, size_bytes=7),
        leaving,
    )
    [second] = claim(store, "tier")
    assert (second.attempt, second.leaving, second.place) == (2, leaving, job.tasks[0].place)
    assert second.decision is not None
    assert second.decision.tier == "hot"
    assert second.job["response"]["tier"] == {"n": 1}
    store.record([result_of(second, place=second.place, response={"removed": ORIGINAL})], now=NOW)
    done = store.job(first.job_id)
    assert done.state is TaskState.DONE
    assert done.tasks[0].leaving is None
    assert done.to_json()["place"] == job.to_json()["place"] | {"moved": True, "moved_at": NOW + 1}
    assert [attempt.state for attempt in store.attempts(first.task_id)] == [TaskState.DONE] * 2


@pytest.mark.parametrize("lost_in", ["first", "second"])
def test_a_half_that_is_lost_is_done_again(store: SqlStore, lost_in: str) -> None:
    message = handed_out(store)
    if lost_in == "second":
        leaving = copied(store, message)
        [message] = claim(store, "tier")
        assert message.leaving == leaving
    store.record([result_of(message, outcome=Outcome.LOST, worker_id="")], now=NOW)
    store.release_due(now=NOW + 1000)
    [again] = claim(store, "tier", now=NOW + 1000)
    assert (again.place, again.leaving) == (message.place, message.leaving)
    assert again.decision == message.decision


def test_what_cannot_be_removed_is_told_and_retried_alone(store: SqlStore) -> None:
    message = handed_out(store)
    leaving = copied(store, message)
    [second] = claim(store, "tier")
    store.record([result_of(second, TaskState.ERROR, message="may not be removed")], now=NOW)
    failed = store.job(message.job_id)
    assert failed.state is TaskState.ERROR
    assert "was copied to file:///hot/x.tif" in failed.tasks[0].message
    store.retry_job(message.job_id, now=NOW)
    assert store.undecided(limit=10, now=NOW) == []
    [third] = claim(store, "tier")
    assert (third.place.url, third.leaving) == ("file:///hot/x.tif", leaving)


def test_an_object_that_is_decided_about_between_the_halves_goes_on(store: SqlStore) -> None:
    message = handed_out(store, move=False)
    store.record([result_of(message, place=Place(url="file:///hot/x.tif", site="default"))], now=NOW)

    def decided(tier: str) -> TaskMessage:
        to_tier: Any = lambda decision: replace(decision, tier=tier)  # noqa: E731
        store.redecide_one(message.job_id, to_tier, origin="recall", made_by="eva", now=NOW)
        store.start_moves(limit=10, now=NOW)
        [given] = claim(store, "tier")
        assert given.decision is not None
        assert (given.decision.tier, given.decision.removes) == (tier, True)
        return given

    left = copied(store, decided("warm"), "warm")
    again = decided("cold")
    assert left.url == "file:///hot/x.tif"
    assert (again.place.url, again.leaving) == ("file:///warm/x.tif", left)
    assert copied(store, again, "cold").url == "file:///warm/x.tif"
    [last] = claim(store, "tier")
    store.record([result_of(last, place=last.place)], now=NOW)
    job = store.job(message.job_id)
    assert (job.state, job.tasks[0].place) == (TaskState.DONE, last.place)


def test_an_object_that_was_cancelled_between_the_halves_goes_by_the_latest_decision(store: SqlStore) -> None:
    message = handed_out(store)
    leaving = copied(store, message)
    store.cancel_job(message.job_id, now=NOW)
    store.redecide_one(
        message.job_id, lambda it: replace(it, tier="cold"), origin="recall", made_by=None, now=NOW
    )
    assert store.start_moves(limit=10, now=NOW) == []
    store.retry_job(message.job_id, now=NOW)
    [again] = claim(store, "tier")
    assert again.leaving == leaving
    assert again.decision is not None
    assert again.decision.tier == "cold"


@pytest.mark.parametrize(
    "named",
    [
        [{"source_version": "1"}, {"source_version": "2"}],
        [{"source_id": "x"}, {"source_id": "x.tif"}],
        [{"source_id": "x.tif"}, {"source_id": "x"}],
    ],
)
def test_what_is_another_jobs_place_stays(store: SqlStore, named: list[dict[str, str]]) -> None:
    """Two versions of a file with equal content are one file in a tier, and have one original."""
    for names in named:
        message = handed_out(store, **names)
        leaving = copied(store, message)
        [second] = claim(store, "tier")
        assert second.place.url == "file:///hot/x.tif"
        assert second.leaving == leaving
        store.record([result_of(second, place=second.place, response={"removed": ORIGINAL})], now=NOW)

    first = second.job_id - 1
    store.redecide_one(first, lambda it: replace(it, tier="cold"), origin="recall", made_by=None, now=NOW)
    store.start_moves(limit=10, now=NOW)
    [message] = claim(store, "tier")
    left = copied(store, message, "cold")
    assert left.url == "file:///hot/x.tif"
    [again] = claim(store, "tier")
    assert (again.job_id, again.leaving, again.place.url) == (first, None, "file:///cold/x.tif")
    store.record([result_of(again, place=again.place)], now=NOW)
    assert store.job(first).state is TaskState.DONE
    assert store.job(first).tasks[0].leaving is None
    assert store.job(second.job_id).tasks[0].place == second.place.model_copy(
        update={"moved": True, "moved_at": NOW + 1}
    )


def test_an_original_that_another_version_has_yet_to_read_stays(store: SqlStore) -> None:
    message = handed_out(store, source_version="1")
    copied(store, message)
    tasks = {"taskSequential": ["focus-score", "tier"]}
    submitted(store, spec(tasks, stream_id="s", source_version="2"))
    [second] = claim(store, "tier")
    assert second.leaving is None
    store.record([result_of(second, place=second.place)], now=NOW)
    place = store.job(message.job_id).tasks[0].place
    assert place is not None
    assert place.moved is None


@pytest.mark.parametrize("other", ["p/X.jpg", "p/X_fractions.tiff", "p/Y.jpg"])
def test_a_sidecar_that_another_image_has_yet_to_read_stays(store: SqlStore, other: str) -> None:
    xml = "root://nas/p/X.xml"
    message = handed_out(store, source_id="p/X.tif", sidecars=[xml])
    own = Sidecar(source_url=xml, url=xml, sha256="b" * 64, size_bytes=1)
    there = Sidecar(source_url=xml, url="file:///hot/X.xml", sha256="b" * 64, size_bytes=1)
    leaving = message.place.model_copy(update={"sha256": "a" * 64, "sidecars": (own,)})
    place = Place(url="file:///hot/x.tif", site="default", sha256="a" * 64, sidecars=(there,))
    store.record([result_of(message, place=place, leaving=leaving)], now=NOW)
    tasks = {"taskSequential": ["focus-score", "tier"]}
    url = f"root://nas/{other}"
    submitted(store, spec(tasks, stream_id="s", source_id=other, source_url=url, sidecars=[xml]))
    [second] = claim(store, "tier")
    is_shared = other != "p/Y.jpg"
    assert second.leaving == (leaving.model_copy(update={"sidecars": None}) if is_shared else leaving)


@pytest.mark.parametrize(("sha256", "goes"), [("a" * 64, True), ("b" * 64, False)])
def test_a_copy_goes_when_its_object_was_measured_anew_and_is_in_another_tier(
    store: SqlStore, sha256: str, goes: bool
) -> None:
    store.create_stream("s", moving(False), "enforce", now=NOW)
    [job_id] = submitted(store, spec({"taskSequential": ["focus-score", "tier"]}, stream_id="s"))

    def measured_and_put(tier: str, sha256: str) -> Place:
        [message] = claim(store, "focus-score")
        store.record([result_of(message, response={"plls": -1.0})], now=NOW)
        [waiting] = store.undecided(limit=10, now=NOW)
        store.record_decisions([(waiting, Decision(0.2, tier, "why", "f" * 64, {}))], now=NOW)
        [message] = claim(store, "tier")
        assert (message.place.url, message.leaving) == (ORIGINAL, None)
        place = Place(url=f"file:///{tier}/x.tif", site="default", sha256=sha256, size_bytes=7)
        store.record([result_of(message, place=place)], now=NOW)
        return place

    first = measured_and_put("hot", "a" * 64)
    store.force_retry_task(store.job(job_id).tasks[0].task_id, now=NOW)
    second = measured_and_put("cold", sha256)
    removing = claim(store, "tier")
    assert [(message.place, message.leaving) for message in removing] == [(second, first)] * goes
    store.record([result_of(message, place=second) for message in removing], now=NOW)
    job = store.job(job_id)
    assert (job.state, job.tasks[1].place, job.tasks[1].leaving) == (TaskState.DONE, second, None)
    assert job.tasks[1].former is None

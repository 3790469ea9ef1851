"""Streams that observe, that enforce, and that change from one to the other, on every database."""

import threading
from typing import Any

import pytest

from haste_client.answers import DecisionAnswer
from haste_client.verification import verify
from haste_core.decisions import Decision
from haste_core.messages import Outcome, Place
from haste_core.states import Phase, TaskState
from haste_core.tier_limits import TierLimits
from haste_server.api.objects import _show_decision
from haste_server.store import redeciding
from haste_server.store.sql import SqlStore
from tests.contract.deciding_bench import (
    carry_out,
    cut_at,
    decided,
    image,
    places,
    settle,
    tiers_of,
    with_policy,
)
from tests.contract.store_bench import NOW, claim, result_of, submitted

PLLS = {"A01": -2.0, "A02": -1.9, "A03": -1.0, "A04": -0.9}


def to_trash(store: SqlStore) -> list[int]:
    """Make a stream whose better half is to go to a trash."""
    jobs = decided(store, with_policy(cut_at(0.5)), PLLS)
    store.set_policy("s", with_policy(cut_at(0.999, low="trash")))
    settle(store)
    assert len(store.start_moves(limit=100, now=NOW)) == 4
    return jobs


def test_moves_that_wait_do_not_happen_while_their_stream_observes(store: SqlStore) -> None:
    jobs = to_trash(store)
    store.set_mode("s", "observe")
    assert claim(store, "tier", now=NOW + 10_000) == []
    assert carry_out(store) == []
    assert places(store, jobs) == [
        f"file:///{tier}/A0{n}" for n, tier in enumerate(["warm"] * 2 + ["hot"] * 2, 1)
    ]
    assert "only observes" in store.job(jobs[0]).tasks[0].message
    store.set_mode("s", "enforce")
    settle(store)
    assert {message.decision.tier for message in carry_out(store) if message.decision} == {"trash"}
    assert places(store, jobs) == [f"file:///trash/A0{n}" for n in range(1, 5)]
    assert store.unmoved("s") == (0, 0)


def test_what_was_stopped_does_not_move_if_another_policy_wants_it_where_it_is(store: SqlStore) -> None:
    jobs = to_trash(store)
    before = places(store, jobs)
    store.set_mode("s", "observe")
    store.set_policy("s", with_policy(cut_at(0.5)))
    settle(store)
    store.set_mode("s", "enforce")
    settle(store)
    for message in carry_out(store):
        assert message.decision is not None
        assert message.decision.tier in message.place.url, "it is put where it is already"
    assert places(store, jobs) == before
    assert [store.job(job_id).state for job_id in jobs] == [TaskState.DONE] * 4


def test_what_a_worker_gives_back_is_stopped_too(store: SqlStore) -> None:
    jobs = to_trash(store)
    copied, lost, *_ = claim(store, "tier", now=NOW + 10_000)
    store.set_mode("s", "observe")
    there = Place(url="file:///trash/A01", site="default", sha256="a" * 64)
    left = Place(url="file:///warm/A01", site="default")
    store.record([result_of(copied, place=there, leaving=left)], now=NOW)
    gone = {"worker_id": "", "outcome": Outcome.LOST, "started_at": None}
    store.record([result_of(lost, TaskState.ERROR, **gone)], now=NOW)
    store.release_due(now=NOW + 100)
    [removing] = claim(store, "tier", now=NOW + 10_000)
    assert (removing.task_id, removing.leaving) == (copied.task_id, left), "what is copied is removed"
    assert store.job(jobs[1]).tasks[0].phase is Phase.SET_ASIDE
    store.set_mode("s", "enforce")
    settle(store)
    store.start_moves(limit=100, now=NOW)
    assert lost.task_id in [message.task_id for message in claim(store, "tier", now=NOW + 10_000)]


def test_an_image_that_was_not_put_anywhere_waits_until_its_stream_enforces_again(store: SqlStore) -> None:
    store.create_stream("s", with_policy(cut_at(0.5)), "enforce", now=NOW)
    [job_id] = submitted(store, image("A01", -1.0))
    settle(store)
    store.set_mode("s", "observe")
    submitted(store, image("A02", -1.0))
    settle(store)
    [message] = carry_out(store)
    assert message.job["source_id"] == "A02"
    assert message.decision is not None
    assert not message.decision.enforce
    store.set_mode("s", "enforce")
    settle(store)
    assert {message.job["source_id"] for message in carry_out(store)} == {"A01", "A02"}
    assert store.job(job_id).state is TaskState.DONE
    assert tiers_of(store) == {"hot": 2}


@pytest.mark.parametrize("store", ["mariadb"], indirect=True)
def test_a_policy_that_comes_while_another_is_applied_decides_in_the_end(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(store, with_policy(cut_at(0.5)), PLLS, mode="observe")
    store.set_policy("s", with_policy(cut_at(0.999)))
    due = store.to_redecide(limit=100)
    written, may_end, append = threading.Event(), threading.Event(), redeciding.append

    def append_slowly(*given: Any, **named: Any) -> list[int]:
        numbers = append(*given, **named)
        written.set()
        may_end.wait(10)
        return numbers

    monkeypatch.setattr(redeciding, "append", append_slowly)
    answers = [(item, Decision(0.9, "warm", "new", "f" * 64, item.scored.features)) for item in due]
    applying = threading.Thread(target=store.redecided, args=(answers,), kwargs={"now": NOW})
    applying.start()
    assert written.wait(10)
    back = threading.Thread(target=store.set_policy, args=("s", with_policy(cut_at(0.5))))
    back.start()
    back.join(0.5)
    assert back.is_alive(), "it waits for what is decided by the other policy, and looks at it then"
    may_end.set()
    applying.join()
    back.join()
    monkeypatch.undo()
    settle(store)
    assert tiers_of(store) == {"warm": 2, "hot": 2}


WIDE = {f"B{number:02}": -2.0 + number * 0.2 for number in range(10)}
QUANTILE = {"function": "quantile", "parameters": {"feature": "plls", "tiers": 4, "min_objects": 16}}


def put_elsewhere(store: SqlStore, jobs: list[int]) -> None:
    """Send all in hot on to an archive, and have one brought to hot."""
    later = NOW + 3 * 86_400
    assert store.pass_on("hot", TierLimits(next="archive", retain_days=1), now=later, limit=100) == 7
    carry_out(store, now=later)
    store.recall(jobs[0], "hot", reason="figure 2", made_by="eva", now=later)
    carry_out(store, now=later)
    assert tiers_of(store) == {"archive": 7, "hot": 1, "warm": 2}


def test_to_enforce_once_more_changes_nothing(store: SqlStore) -> None:
    jobs = decided(store, with_policy(cut_at(0.5)), WIDE)
    put_elsewhere(store, jobs)
    before = places(store, jobs)
    store.set_mode("s", "enforce")
    assert store.progress("s").to_redecide == 0
    assert settle(store) == []
    assert carry_out(store) == []
    assert places(store, jobs) == before


def test_what_was_put_elsewhere_stays_there_when_its_stream_enforces_again(store: SqlStore) -> None:
    jobs = decided(store, with_policy(cut_at(0.5)), WIDE)
    put_elsewhere(store, jobs)
    before = places(store, jobs)
    store.set_mode("s", "observe")
    store.set_mode("s", "enforce")
    assert settle(store) == []
    assert carry_out(store) == []
    assert places(store, jobs) == before


def test_what_was_recorded_is_carried_out_and_not_scored_anew(store: SqlStore) -> None:
    plls = {f"C{number:02}": -3 + number * 0.1 for number in range(20)}
    jobs = decided(store, with_policy(cut_at(0.5), **QUANTILE), plls, mode="observe")
    recorded = tiers_of(store)
    store.recall(jobs[3], "warm", reason="figure 2", made_by="eva", now=NOW)
    recorded = {"hot": recorded["hot"] - 1, "warm": 1 + recorded.get("warm", 0)}
    assert store.unmoved("s")[0] == len(plls)
    store.set_mode("s", "enforce")
    assert settle(store) == []
    assert len(carry_out(store)) == len(plls)
    assert tiers_of(store) == recorded
    assert store.unmoved("s") == (0, 0)
    last = store.decisions_about(jobs[3])[-1]
    assert (last.origin, last.made_by, last.mode) == ("recall", "eva", "enforce")
    assert all_verified(store)


def all_verified(store: SqlStore) -> bool:
    """Tell whether all decisions are what their records say."""

    def history() -> list[DecisionAnswer]:
        found = store.decisions("s", cursor=None, limit=1000).items
        return [DecisionAnswer.model_validate(dict(_show_decision(one))) for one in found]

    return not verify("s", history).differences


def test_what_waits_or_has_failed_is_told_as_not_moved(store: SqlStore) -> None:
    jobs = to_trash(store)
    assert store.unmoved("s")[0] == 4
    [failing, *others] = claim(store, "tier", now=NOW + 10_000)
    store.record([result_of(failing, TaskState.ERROR, message="the folder is read-only")], now=NOW)
    assert store.unmoved("s")[0] == 4
    gone = Place(url="file:///trash/A02", site="default")
    store.record([result_of(others[0], place=gone, response={"tier": "trash", "moved": True})], now=NOW)
    assert store.unmoved("s") == (3, 300)
    assert len(jobs) == 4

"""Emptying a trash: what is marked, deleted and remembered, on every database."""

from dataclasses import replace
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.errors import ConflictError
from haste_core.messages import Outcome, Place, TaskMessage
from haste_core.objects import ObjectFilter
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_core.trashes import DAY_S, Amount
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, spec, submitted

LATER = NOW + 31 * DAY_S
BEFORE = LATER - 30 * DAY_S


def to_trash(store: SqlStore, *names: str, mode: Any = "enforce", **more: Any) -> dict[str, int]:
    """Submit objects of 7 bytes, with the last one the best, and let them go to the tier ``bin``."""
    store.create_stream("s", PIPELINE, mode, now=NOW)
    response = {"focus-score": {"plls": -1.0, "size_bytes": 7}}
    specs = [spec("tier", source_id=name, stream_id="s", response=response, **more) for name in names]
    jobs = dict(zip(names, submitted(store, *specs), strict=True))
    waiting = store.undecided(limit=100, now=NOW)
    features = {"plls": -1.0, "size_bytes": 7}
    scores = {job_id: number / 10 for number, job_id in enumerate(jobs.values(), start=1)}
    decided = [(item, Decision(scores[item.job_id], "bin", "why", "f" * 64, features)) for item in waiting]
    store.record_decisions(decided, now=NOW)
    answers = [result_of(message, place=in_bin(message)) for message in claim(store, "tier")]
    store.record(answers, now=NOW)
    return jobs


def in_bin(message: TaskMessage) -> Place:
    name = str(message.job["source_id"]).removesuffix(".tif")
    return Place(url=f"file:///bin/{name}.tif", site="default", sha256="a" * 64, size_bytes=7)


def emptied(store: SqlStore, *, now: float = LATER, limit: int = 100) -> int:
    """Ask for it; return how many are marked."""
    return store.empty("bin", before=now - 30 * DAY_S, made_by="eva", now=now, limit=limit).count


def handed_out(store: SqlStore, *, now: float = LATER) -> list[TaskMessage]:
    store.start_moves(limit=100, now=now)
    return claim(store, "tier", now=now)


def agree(store: SqlStore, *messages: TaskMessage, now: float = LATER) -> list[TaskMessage]:
    """Answer that objects may be deleted; return the second halves."""
    assert all(one.decision and one.decision.deletes and one.leaving is None for one in messages)
    answers = [result_of(one, place=one.place, leaving=one.place, ended_at=now) for one in messages]
    store.record(answers, now=now)
    return claim(store, "tier", now=now)


def delete(store: SqlStore, *messages: TaskMessage, now: float = LATER) -> None:
    """Answer that objects were deleted."""
    answers = [
        result_of(one, place=one.place, response={"deleted": one.place.url}, ended_at=now) for one in messages
    ]
    store.record(answers, now=now)


def tiers_of(store: SqlStore) -> dict[str, int]:
    return {tier: count.count for tier, count in store.progress("s").tiers.items()}


def test_what_is_deleted_is_remembered_with_its_decision_and_time(store: SqlStore) -> None:
    jobs = to_trash(store, "A01", "A02", "A03")
    assert store.removable("bin", before=BEFORE) == Amount(3, 21)
    assert emptied(store, limit=2) == 2
    first, second = agree(store, *handed_out(store))
    assert [first.leaving, first.decision and first.decision.removes] == [first.place, True]
    delete(store, first, second)

    assert tiers_of(store) == {"bin": 1}
    assert store.deleted("s") == Amount(2, 14)
    listed = store.objects("s", ObjectFilter(), order="-score", cursor=None, limit=10).items
    assert [(one.job.job_id, one.deleted_at) for one in listed] == [
        (jobs["A03"], None),
        (jobs["A02"], LATER),
        (jobs["A01"], LATER),
    ]
    gone = store.decision_of(jobs["A01"])
    assert (gone.decision.origin, gone.decision.made_by, gone.decision.tier) == ("deletion", "eva", "bin")
    assert (gone.decision.score, gone.decision.supersedes is not None, gone.pinned) == (0.1, True, False)
    job = store.job(jobs["A01"])
    assert (job.state, job.place, job.deleted_at) == (TaskState.DONE, None, LATER)
    assert (job.to_json()["place"], job.to_json()["deleted_at"]) == (None, LATER)
    assert store.removable("bin", before=BEFORE) == Amount(1, 7)


@pytest.mark.parametrize("order", ["job", "score", "-score"])
def test_deleted_objects_stand_in_their_place_in_pages(store: SqlStore, order: Any) -> None:
    names = [f"A{number:02}" for number in range(7)]
    jobs = to_trash(store, *names)
    emptied(store, limit=5)
    delete(store, *agree(store, *handed_out(store)))
    seen, cursor = [], None
    for _ in range(4):
        page = store.objects("s", ObjectFilter(tier="bin"), order=order, cursor=cursor, limit=2)
        seen += [one.job.job_id for one in page.items]
        cursor = page.next
    wanted = list(jobs.values())
    assert seen == (wanted[::-1] if order == "-score" else wanted)
    assert cursor is None


def test_only_what_has_lain_there_for_its_grace_and_is_free_is_marked(store: SqlStore) -> None:
    jobs = to_trash(store, "A01", "A02", "A03", "A04")
    assert emptied(store, now=NOW + 30 * DAY_S) == 0
    store.pin(jobs["A01"], "bin", reason="figure 2", made_by="eva", now=NOW)
    store.recall(jobs["A02"], "hot", reason="once more", made_by="eva", now=NOW)
    store.force_retry_task(store.job(jobs["A03"]).tasks[0].task_id, now=NOW)
    assert emptied(store) == 1
    page = store.trashed("bin", cursor=None, limit=10)
    assert [(one.source_id, one.pinned, one.is_marked, one.trashed_at) for one in page.items] == [
        ("A01", True, False, NOW + 1),
        ("A04", False, True, NOW + 1),
    ]
    assert emptied(store) == 0, "once is enough"


def test_nothing_of_a_stream_that_observes_is_marked(store: SqlStore) -> None:
    to_trash(store, "A01")
    store.set_mode("s", "observe")
    assert emptied(store) == 0
    [listed] = store.trashed("bin", cursor=None, limit=10).items
    assert not listed.is_enforced


def test_what_was_never_copied_there_is_not_marked(store: SqlStore) -> None:
    to_trash(store, "A01", mode="observe")
    store.set_mode("s", "enforce")
    assert emptied(store) == 0


def pinned(store: SqlStore, job_id: int) -> None:
    store.pin(job_id, "hot", reason="figure 2", made_by="eva", now=LATER)


def recalled(store: SqlStore, job_id: int) -> None:
    store.recall(job_id, "bin", reason="not yet", made_by="eva", now=LATER)


def another_policy(store: SqlStore, _job_id: int) -> None:
    """Apply a policy that wants all in a tier, as the evaluator then finds."""
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "hot"}
    store.set_policy("s", Pipeline.parse(PIPELINE.to_json() | {"policy": policy}))
    items = store.to_redecide(limit=10)
    store.redecided([(item, Decision(0.1, "hot", "new", "f" * 64, {})) for item in items], now=LATER)


def policy_not_yet_applied(store: SqlStore, _job_id: int) -> None:
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "hot"}
    store.set_policy("s", Pipeline.parse(PIPELINE.to_json() | {"policy": policy}))


def observed(store: SqlStore, _job_id: int) -> None:
    store.set_mode("s", "observe")


def observed_for_a_while(store: SqlStore, _job_id: int) -> None:
    store.set_mode("s", "observe")
    store.set_mode("s", "enforce")
    items = store.to_redecide(limit=10)
    store.redecided([(item, Decision(0.1, "bin", "why", "f" * 64, {})) for item in items], now=LATER)


@pytest.mark.parametrize(
    ("when", "otherwise"),
    [
        ("marked", pinned),
        ("marked", another_policy),
        ("waiting", recalled),
        ("waiting", observed),
        ("judged", pinned),
        ("judged", recalled),
        ("judged", another_policy),
        ("judged", policy_not_yet_applied),
        ("judged", observed),
        ("judged", observed_for_a_while),
    ],
)
def test_a_later_decision_withdraws_a_deletion_that_has_not_begun(
    store: SqlStore, otherwise: Any, when: str
) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    judging = []
    if when == "waiting":
        store.start_moves(limit=10, now=LATER)
    elif when == "judged":
        judging = handed_out(store)
    otherwise(store, jobs["A01"])
    if judging:
        assert [one.leaving for one in agree(store, *judging)] == []
    if otherwise is policy_not_yet_applied:
        another_policy(store, jobs["A01"])
    for message in handed_out(store):
        assert message.decision is not None
        assert message.leaving is None
        if otherwise is observed:
            assert agree(store, message) == []
        else:
            assert not message.decision.deletes
            store.record([result_of(message, place=message.place)], now=LATER)
    assert store.decision_of(jobs["A01"]).deleted_at is None
    assert store.job(jobs["A01"]).deleted_at is None
    is_latest = store.decision_of(jobs["A01"]).decision.origin == "deletion"
    assert is_latest == (otherwise is observed)
    if otherwise is observed:  # enforcing again does not bring the deletion back
        observed_for_a_while(store, jobs["A01"])
        assert store.decision_of(jobs["A01"]).decision.origin == "new-policy"


@pytest.mark.parametrize("otherwise", [pinned, recalled, another_policy])
def test_a_deletion_that_has_begun_is_not_stopped_by_a_later_decision(
    store: SqlStore, otherwise: Any
) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    [second] = agree(store, *handed_out(store))
    if otherwise is another_policy:
        otherwise(store, jobs["A01"])
        assert store.to_redecide(limit=10) == [], "it does not come again and again"
    else:
        with pytest.raises(ConflictError, match="is being deleted"):
            otherwise(store, jobs["A01"])
    with pytest.raises(ConflictError, match="is being deleted"):
        store.force_retry_task(second.task_id, now=LATER)
    store.record([result_of(second, outcome=Outcome.LOST, worker_id="")], now=LATER)
    store.release_due(now=LATER + 1000)
    [again] = claim(store, "tier", now=LATER + 1000)
    assert (again.leaving, again.place) == (second.leaving, second.place)
    delete(store, again, now=LATER + 1000)
    assert store.decision_of(jobs["A01"]).deleted_at == LATER + 1000


def test_what_is_gone_is_gone(store: SqlStore) -> None:
    jobs = to_trash(store, "A01", "A02")
    emptied(store, limit=1)
    delete(store, *agree(store, *handed_out(store)))
    task_id = store.job(jobs["A01"]).tasks[0].task_id
    for ask in (
        lambda: store.recall(jobs["A01"], "hot", reason="why not", made_by="eva", now=LATER),
        lambda: store.force_retry_task(task_id, now=LATER),
        lambda: store.reset_task(task_id, now=LATER),
    ):
        with pytest.raises(ConflictError, match="was deleted"):
            ask()
    another_policy(store, jobs["A01"])
    assert tiers_of(store) == {"hot": 1}
    assert store.deleted("s") == Amount(1, 7)
    assert store.unmoved("s")[0] == 1
    store.delete(jobs["A01"])
    assert store.deleted("s") == Amount(0, 0)


def test_what_a_worker_finds_too_young_stays(store: SqlStore) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    [message] = handed_out(store)
    store.record([result_of(message, place=message.place, message="stays", ended_at=LATER)], now=LATER)
    job = store.job(jobs["A01"])
    assert (job.state, job.place, job.tasks[0].message) == (TaskState.DONE, message.place, "stays")
    store.recall(jobs["A01"], "hot", reason="why not", made_by="eva", now=LATER)
    assert [one.decision and one.decision.deletes for one in handed_out(store)] == [False]


def test_a_deletion_that_fails_is_retried_or_given_up_for_a_later_decision(store: SqlStore) -> None:
    jobs = to_trash(store, "A01", "A02")
    emptied(store)
    halves = agree(store, *handed_out(store))
    store.record([result_of(one, TaskState.ERROR, message="read-only") for one in halves], now=LATER)
    assert "to be deleted from the trash" in store.job(jobs["A01"]).tasks[0].message
    store.retry_job(jobs["A01"], now=LATER)
    [again] = claim(store, "tier", now=LATER)
    assert again.leaving == again.place
    delete(store, again)
    assert store.job(jobs["A01"]).deleted_at == LATER

    store.recall(jobs["A02"], "hot", reason="why not", made_by="eva", now=LATER)
    store.retry_job(jobs["A02"], now=LATER)
    [moving] = claim(store, "tier", now=LATER)
    assert moving.decision is not None
    assert (moving.leaving, moving.decision.deletes) == (None, False)


def test_a_cancelled_deletion_goes_on_when_it_is_retried(store: SqlStore) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    agree(store, *handed_out(store))
    store.cancel_job(jobs["A01"], now=LATER)
    assert claim(store, "tier", now=LATER) == []
    store.retry_job(jobs["A01"], now=LATER)
    [again] = claim(store, "tier", now=LATER)
    assert again.leaving == again.place


@pytest.mark.parametrize("names", [("x", "x.tif"), ("x.tif", "x")])
@pytest.mark.parametrize("together", [False, True])
def test_one_file_of_two_jobs_goes_with_the_last_of_them(
    store: SqlStore, names: tuple[str, str], together: bool
) -> None:
    """Equal content under one name is one file in a tier."""
    jobs = to_trash(store, *names)
    if not together:
        assert emptied(store, limit=1) == 1
        [only] = agree(store, *handed_out(store))
        assert only.decision is not None
        assert (only.decision.deletes, only.decision.removes) == (True, False)
        delete(store, only)
        assert store.job(jobs[names[1]]).deleted_at is None
    emptied(store)
    halves = agree(store, *handed_out(store))
    assert [one.decision and one.decision.removes for one in halves] == (
        [False, True] if together else [True]
    )
    delete(store, *halves)
    assert store.deleted("s") == Amount(2, 14)


def test_a_file_that_another_job_has_stays(store: SqlStore) -> None:
    jobs = to_trash(store, "x", "x.tif")
    store.pin(jobs["x.tif"], "bin", reason="figure 2", made_by="eva", now=NOW)
    emptied(store)
    [only] = agree(store, *handed_out(store))
    assert only.decision is not None
    assert not only.decision.removes


def test_an_answer_cannot_ask_for_a_deletion_that_nobody_wants(store: SqlStore) -> None:
    jobs = to_trash(store, "A01")
    store.redecide_one(
        jobs["A01"], lambda it: replace(it, tier="hot"), origin="recall", made_by=None, now=LATER
    )
    [message] = handed_out(store)
    store.record([result_of(message, place=message.place, leaving=message.place)], now=LATER)
    assert store.job(jobs["A01"]).state is TaskState.DONE
    assert claim(store, "tier", now=LATER) == []


def test_a_trash_is_shown_and_emptied_by_project(store: SqlStore) -> None:
    to_trash(store, "a", "b")
    others, own = ("lab1",), ("lab1", "default")

    assert store.trashed("bin", cursor=None, limit=9, projects=others).items == []
    assert len(store.trashed("bin", cursor=None, limit=9, projects=own).items) == 2
    assert store.removable("bin", before=BEFORE, projects=others) == Amount(0, 0)
    assert store.removable("bin", before=BEFORE, projects=own) == Amount(2, 14)
    for projects, expected in ((others, 0), (own, 2)):
        marked = store.empty("bin", before=BEFORE, made_by=None, now=LATER, limit=9, projects=projects)
        assert marked.count == expected

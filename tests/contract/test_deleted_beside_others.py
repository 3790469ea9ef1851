"""Objects that were deleted from a trash, and those that stay: in files, rankings, sets, complete streams."""

import pytest

from haste_core.decisions import Decision
from haste_core.messages import Place, TaskMessage
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_core.trashes import DAY_S
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, claim, result_of, run, spec, submitted
from tests.contract.test_emptying import LATER, agree, delete, emptied, handed_out, to_trash
from tests.contract.test_image_sets import on_one_database
from tests.contract.test_leaving import ORIGINAL, copied, moving
from tests.contract.test_preview import applied, filled, pipeline
from tests.contract.test_ranked_preview import apply, check, placed
from tests.contract.test_ranked_sets import PAIRS, Sites
from tests.contract.test_revising import TOP, add, settle, tiers, with_policy
from tests.contract.test_shared_originals import missed

SHARE = TOP | {"k": None, "percent": 50, "rest": "bin", "undefined": "bin"}


def carried_out(store: SqlStore) -> None:
    """Let workers put all objects where they are to be."""
    store.start_moves(limit=1000, now=NOW)
    store.record([result_of(one, place=place_of(one)) for one in claim(store, "tier")], now=NOW)


def place_of(message: TaskMessage) -> Place:
    assert message.decision is not None
    url = f"file:///{message.decision.tier}/{message.job_id}"
    return Place(url=url, site="default", sha256="a" * 64, size_bytes=7)


def deleted(store: SqlStore, tier: str, number: int) -> None:
    before = LATER - 30 * DAY_S
    marked = store.empty(tier, before=before, made_by="eva", now=LATER, limit=number)
    assert marked.count == number
    delete(store, *agree(store, *handed_out(store)))
    assert store.deleted("s").count == number


def removes(message: TaskMessage) -> bool:
    assert message.decision is not None
    assert message.decision.deletes
    return message.decision.removes


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_file_stays_while_an_open_job_of_another_stream_has_it_as_its_original(
    store: SqlStore, has_ended: bool
) -> None:
    jobs = to_trash(store, "A01", "A02")
    submitted(store, spec(stream_id="t", source_url="file:///bin/A01.tif", source_id="from there"))
    if has_ended:
        run(store)
    emptied(store)
    halves = {one.job_id: one for one in agree(store, *handed_out(store))}
    assert [removes(halves[jobs[name]]) for name in ("A01", "A02")] == [has_ended, True]
    delete(store, *halves.values())
    assert store.deleted("s").count == 2


def test_a_file_goes_though_another_stream_reads_the_original_of_it(store: SqlStore) -> None:
    to_trash(store, "A01")
    [other] = submitted(store, spec(stream_id="t"))
    emptied(store)
    [half] = agree(store, *handed_out(store))
    assert removes(half)
    delete(store, half)
    [message] = claim(store)
    assert (message.job_id, message.place.url) == (other, ORIGINAL)


def test_who_misses_an_original_is_told_that_it_was_deleted_from_a_trash(store: SqlStore) -> None:
    store.create_stream("s", moving(True), "enforce", now=NOW)
    [job_id] = submitted(store, spec("tier", stream_id="s", response={"focus-score": {"plls": -1.0}}))
    [waiting] = store.undecided(limit=10, now=NOW)
    store.record_decisions([(waiting, Decision(0.2, "bin", "why", "f" * 64, {}))], now=NOW)
    copied(store, *claim(store, "tier"), "bin")
    [second] = claim(store, "tier")
    store.record([result_of(second, place=second.place, response={"removed": ORIGINAL})], now=NOW)
    emptied(store)
    delete(store, *agree(store, *handed_out(store)))
    submitted(store, spec(stream_id="t"))
    [late] = claim(store)
    told = f"there is no file /nas/x.tif; job {job_id} of stream 's' has deleted it from a trash"
    assert missed(store, late) == (TaskState.SOURCE_MISSING, told)


def test_a_file_that_is_just_being_deleted_is_looked_for_again(store: SqlStore) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    [half] = agree(store, *handed_out(store))
    submitted(store, spec(stream_id="s", source_url="file:///bin/A01.tif", source_id="A01.tif"))
    state, told = missed(store, *claim(store))
    who = f"job {jobs['A01']} of stream 's'"
    assert (state, f"{who} is deleting it from a trash now" in told) == (TaskState.REGISTERED, True)
    delete(store, half)
    store.release_due(now=NOW + 100)
    state, told = missed(store, *claim(store, now=NOW + 100))
    assert (state, f"{who} has deleted it from a trash" in told) == (TaskState.SOURCE_MISSING, True)


def test_a_file_stays_for_a_job_whose_deletion_failed_and_that_is_recalled(store: SqlStore) -> None:
    jobs = to_trash(store, "x", "x.tif")
    emptied(store, limit=1)
    [failing] = agree(store, *handed_out(store))
    store.record([result_of(failing, TaskState.ERROR, message="read-only")], now=LATER)
    emptied(store)
    first = handed_out(store)
    store.recall(jobs["x"], "hot", reason="why not", made_by="eva", now=LATER)
    store.start_moves(limit=10, now=LATER)
    halves = {one.job_id: one for one in agree(store, *first)}
    assert halves[jobs["x"]].decision is not None
    assert not halves[jobs["x"]].decision.deletes
    assert not removes(halves[jobs["x.tif"]])


def test_a_complete_stream_stays_complete_when_its_trash_is_emptied(store: SqlStore) -> None:
    jobs = to_trash(store, "A01", "A02")
    assert store.complete_stream("s", now=NOW + 1).completed_at == NOW + 1
    deleted(store, "bin", 2)
    assert store.stream("s").completed_at == NOW + 1
    assert (store.progress("s").open, store.progress("s").done) == (0, 2)
    submitted(store, spec(stream_id="s", source_id="late"))
    assert store.stream("s").completed_at is None
    assert store.complete_stream("s", now=NOW + 2).completed_at == NOW + 2
    store.delete(jobs["A02"])
    assert store.stream("s").completed_at == NOW + 2
    assert store.deleted("s").count == 1


def test_an_image_that_opened_a_stream_does_so_after_it_was_deleted_from_its_trash(store: SqlStore) -> None:
    to_trash(store, "A01")
    store.complete_stream("s", now=NOW + 1)
    to_trash(store, "A02")
    deleted(store, "bin", 2)
    assert store.stream("s").completed_at is None


@pytest.mark.parametrize("feature", ["plls", "other"])
def test_a_preview_of_quantile_ranks_among_what_was_deleted(store: SqlStore, feature: str) -> None:
    filled(store, pipeline())
    store.set_mode("s", "enforce")
    applied(store, pipeline())
    carried_out(store)
    number = store.progress("s").tiers["t2"].count
    deleted(store, "t2", number)
    changed = pipeline("quantile", {"feature": feature, "min_objects": 2})
    expected = store.preview("s", changed).shifts
    assert sum(shift.count for shift in expected) == 30 - number
    assert applied(store, changed)[0] == expected


@on_one_database
def test_what_was_deleted_of_a_set_has_its_part_in_the_score_of_the_rest(store: SqlStore) -> None:
    bench = Sites(store, by_score("score"))
    bench.add(1, 0.45, 0.1)
    bench.add(2, 0.3, 0.2)
    bench.add(3, 0.1, 0.7)
    carried_out(store)
    deleted(store, "bin", 1)
    bench.check(by_score("score * 1.4"))
    assert bench.at() == {1: "hot", 2: "bin", 3: "hot"}


def by_score(expression: str) -> Pipeline:
    policy = {
        "intervals": [{"lo": 0, "hi": 0.5, "tier": "bin"}, {"lo": 0.5, "hi": 1, "tier": "hot"}],
        "undefined": "bin",
    }
    return Pipeline.parse(
        with_policy(policy).to_json()
        | {
            "interestingness": {
                "function": "expression",
                "features_from": "focus-score",
                "parameters": {"expression": expression},
            },
            "image_set": PAIRS,
        }
    )


def test_a_share_of_a_stream_does_not_shrink_with_what_is_deleted(store: SqlStore) -> None:
    store.create_stream("s", with_policy(SHARE), "enforce", now=NOW)
    ids = add(store, *((number / 10, 7) for number in range(10)))
    settle(store)
    carried_out(store)
    deleted(store, "bin", 5)
    assert settle(store) == 0
    assert set(placed(store)) == set(ids[5:])
    check(store, with_policy(SHARE | {"percent": 20}))
    assert {job_id for job_id, (tier, _) in placed(store).items() if tier == "hot"} == set(ids[8:])
    apply(store, with_policy(SHARE))
    add(store, (0.55, 7), (0.05, 7))
    settle(store)
    hot = [job_id for job_id, tier in tiers(store).items() if tier == "hot" and job_id in placed(store)]
    assert len(hot) == 6, "half of 12"


@on_one_database
def test_a_share_counts_sets_that_were_deleted(store: SqlStore) -> None:
    bench = Sites(store, Pipeline.parse(by_score("score").to_json() | {"policy": SHARE}))
    for site in range(1, 7):
        bench.add(site, site / 10, 0)
    assert sorted(site for site, tier in bench.settle().items() if tier == "hot") == [4, 5, 6]
    carried_out(store)
    deleted(store, "bin", 3)  # site 1, and a part of site 2
    assert bench.settle() == {2: "bin", 3: "bin", 4: "hot", 5: "hot", 6: "hot"}
    bench.check(Pipeline.parse(by_score("score").to_json() | {"policy": SHARE | {"percent": 34}}))
    assert sorted(site for site, tier in bench.at().items() if tier == "hot") == [4, 5, 6], "of 6, rounded up"


def test_what_was_put_to_a_trash_stays_there_if_its_deletion_is_withdrawn(store: SqlStore) -> None:
    store.create_stream("s", with_policy(SHARE | {"percent": 100}), "enforce", now=NOW)
    [job_id] = add(store, (0.9, 7))
    store.recall(job_id, "bin", reason="it is blurred", made_by="eva", now=NOW)
    carried_out(store)
    emptied(store)
    assert settle(store) == 0, "it is held there"
    store.set_mode("s", "observe")
    store.set_mode("s", "enforce")
    apply(store, with_policy(SHARE | {"percent": 90}))
    now = store.decision_of(job_id).decision
    assert (now.origin, now.tier) == ("new-policy", "bin")
    assert settle(store) == 0
    assert [one.decision and one.decision.deletes for one in handed_out(store)] in ([], [False])


def test_a_deletion_that_a_failing_function_withdraws_is_not_given_as_the_reason(store: SqlStore) -> None:
    jobs = to_trash(store, "A01")
    emptied(store)
    store.set_policy("s", pipeline("expression", {"expression": "nobody / 2"}))
    store.redecided([(item, None) for item in store.to_redecide(limit=10)], now=LATER)
    now = store.decision_of(jobs["A01"]).decision
    assert (now.origin, now.tier) == ("new-policy", "bin")
    assert now.reason == "it stays: it was decided about anew before its deletion began"

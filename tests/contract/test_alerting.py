"""Alerts on every database: judged once, kept until they are delivered."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from haste_core.alert_stores import AlertRecord
from haste_core.alerts import Fill, note_score
from haste_core.decisions import Decision
from haste_core.errors import NotFoundError
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_server.store import alerting as module
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, result_of, run, spec, submitted

CHANNELS = ["e-mail", "webhook"]
LOW = {"rule": "low-scores", "consecutive": 3, "below": 0.5}
WELL = {"rule": "well-below", "percent": 50, "below": 0.5, "min_images": 2}
FINISHED = {"rule": "finished", "settle_s": 60}
SILENCE = {"rule": "silence", "for_s": 600}


def watch(store: SqlStore, *rules: dict[str, object], stream_id: str = "s") -> None:
    pipeline = Pipeline.parse({**PIPELINE.to_json(), "alerts": list(rules)})
    store.create_stream(stream_id, pipeline, "observe", now=NOW)


def decide(store: SqlStore, scores: list[float | None], *, well: str = "A01", stream_id: str = "s") -> None:
    """Submit images, and decide about them in their order."""
    response, metadata = {"focus-score": {"plls": 0}}, {"well": well}
    more = {"stream_id": stream_id, "response": response, "metadata": metadata}
    for place, score in enumerate(scores):
        submitted(store, spec("tier", source_id=f"{well}_{place}", **more))
        [waiting] = store.undecided(limit=10, now=NOW)
        store.record_decisions([(waiting, Decision(score, "hot", "why", "f" * 64, {}))], now=NOW)


def judge(
    store: SqlStore, *, now: float = NOW, stream_id: str = "s", fills: dict[str, Fill | None] | None = None
) -> list[AlertRecord]:
    raised: list[AlertRecord] = []
    more = True
    while more:
        told, more = store.judge(
            stream_id, now=now, listening_since=NOW - 3600, fills=fills or {}, channels=CHANNELS
        )
        raised += told
    return raised


def test_low_scores_raise_one_alert_however_they_are_cut_up(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    watch(store, LOW, WELL)
    decide(store, [0.9, 0.1, None, 0.2])
    decide(store, [0.3, 0.3], well="B02")
    raised = judge(store, now=NOW + 5)
    assert [(alert.rule, alert.details.get("group")) for alert in raised] == [
        ("well-below", "A01"),
        ("low-scores", None),
        ("well-below", "B02"),
    ]
    assert raised[1].details == {"images": 3, "below": 0.5, "first": "A01_1", "last": "B02_0"}
    assert {alert.raised_at for alert in raised} == {NOW + 5}
    assert judge(store) == []
    decide(store, [0.1], well="C03")
    assert judge(store) == [], "the same run is not told again"
    decide(store, [0.9, 0.1, 0.1, 0.1], well="D04")
    assert [alert.rule for alert in judge(store)] == ["well-below", "low-scores"]


def test_an_image_that_is_decided_about_anew_is_not_counted_again(store: SqlStore) -> None:
    watch(store, LOW)
    decide(store, [0.1, 0.1])
    [message] = claim(store, "tier", limit=1)
    store.record([result_of(message)], now=NOW)
    store.force_retry_task(message.task_id, now=NOW)
    for waiting in store.undecided(limit=10, now=NOW):
        store.record_decisions([(waiting, Decision(0.1, "hot", "why", "f" * 64, {}))], now=NOW)
    assert judge(store) == []
    decide(store, [0.1], well="B02")
    assert len(judge(store)) == 1


def test_streams_without_rules_are_not_watched(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "observe", now=NOW)
    decide(store, [0.1, 0.1, 0.1])
    assert store.watched() == []
    watch(store, FINISHED, stream_id="t")
    assert store.watched() == [], "nor before the first image"
    decide(store, [0.1, 0.1, 0.1], stream_id="t")
    assert store.watched() == ["t"]


def test_a_stream_that_has_finished_rests_until_the_next_image(store: SqlStore) -> None:
    watch(store, FINISHED, SILENCE)
    submitted(store, *(spec("a", source_id=f"{number}", stream_id="s") for number in range(4)))
    run(store, state=TaskState.DONE, ended_at=NOW)
    assert judge(store, now=NOW + 59) == []
    assert store.watched() == ["s"]
    [told] = judge(store, now=NOW + 61)
    assert (told.rule, told.details) == ("finished", {"done": 4, "failed": 0, "cancelled": 0})
    assert store.watched() == []
    submitted(store, spec("a", source_id="late", stream_id="s"), now=NOW + 1000)
    assert store.watched() == ["s"]
    assert judge(store, now=NOW + 1001) == []
    [told] = judge(store, now=NOW + 1700)
    assert told.rule == "silence"
    assert "the last one was late" in told.message


def test_failed_jobs_are_counted(store: SqlStore) -> None:
    watch(store, FINISHED)
    submitted(store, *(spec("a", source_id=f"{number}", stream_id="s") for number in range(3)))
    [first, *others] = claim(store)
    store.record([result_of(first, TaskState.BAD_INPUT)], now=NOW)
    assert judge(store, now=NOW + 100) == []
    store.record([result_of(other) for other in others], now=NOW)
    [told] = judge(store, now=NOW + 200)
    assert told.details == {"done": 2, "failed": 1, "cancelled": 0}


def test_a_stream_that_rests_is_watched_again_when_a_failed_image_is_retried(store: SqlStore) -> None:
    watch(store, LOW, FINISHED)
    tree = {"taskSequential": ["focus-score", "tier"]}
    [job_id] = submitted(store, spec(tree, stream_id="s"))
    run(store, "focus-score", TaskState.BAD_INPUT, ended_at=NOW)
    assert [told.details for told in judge(store, now=NOW + 61)] == [{"done": 0, "failed": 1, "cancelled": 0}]
    assert store.watched() == []

    store.retry_job(job_id, now=NOW + 70)
    run(store, "focus-score", response={"plls": 0})
    [waiting] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(waiting, Decision(0.9, "hot", "why", "f" * 64, {}))], now=NOW + 71)
    assert store.watched() == ["s"]
    assert judge(store, now=NOW + 71) == []
    assert store.watched() == ["s"]
    run(store, "tier")
    assert [told.details for told in judge(store, now=NOW + 200)] == [
        {"done": 1, "failed": 0, "cancelled": 0}
    ]


def test_two_engines_raise_an_alert_once(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    watch(store, LOW)
    decide(store, [0.1] * 3)

    def slow(*judged: Any) -> Any:
        time.sleep(0.05)  # so that all have begun
        return note_score(*judged)

    monkeypatch.setattr(module, "note_score", slow)
    with ThreadPoolExecutor(4) as engines:
        raised = list(engines.map(lambda _: judge(store), range(8)))
    assert sum(map(len, raised)) == 1
    assert len(store.alerts("s", only_open=False, cursor=None, limit=10).items) == 1


def test_alerts_are_listed_in_pages_and_acknowledged(store: SqlStore) -> None:
    watch(store, WELL)
    for well in ("A01", "A02", "A03"):
        decide(store, [0.1, 0.1], well=well)
    raised = judge(store)
    first = store.alerts("s", only_open=False, cursor=None, limit=2)
    rest = store.alerts("s", only_open=False, cursor=first.next, limit=2)
    assert [alert.alert_id for alert in first.items + rest.items] == [alert.alert_id for alert in raised]
    assert rest.next is None
    assert [delivery.channel for delivery in first.items[0].deliveries] == CHANNELS
    assert store.open_alerts("s") == 3

    done = store.acknowledge("s", raised[1].alert_id, now=NOW + 9)
    again = store.acknowledge("s", raised[1].alert_id, now=NOW + 99)

    assert (done.acknowledged_at, again.acknowledged_at) == (NOW + 9, NOW + 9)
    assert store.open_alerts("s") == 2
    open_ones = store.alerts("s", only_open=True, cursor=None, limit=10).items
    assert [alert.details["group"] for alert in open_ones] == ["A01", "A03"]
    for unknown in (("s", 99), ("t", raised[0].alert_id)):
        with pytest.raises(NotFoundError):
            store.acknowledge(*unknown, now=NOW)
    with pytest.raises(NotFoundError, match="no stream 't'"):
        store.alerts("t", only_open=False, cursor=None, limit=10)


def test_an_alert_is_due_on_each_channel_until_it_was_delivered(store: SqlStore) -> None:
    watch(store, LOW)
    decide(store, [0.1] * 3)
    [alert] = judge(store)

    def due(channel: str, now: float) -> int | None:
        delivery = store.next_delivery(channel, now=now, claim_s=60)
        assert delivery is None or delivery.alert.event_id == alert.event_id
        return None if delivery is None else delivery.failures

    assert due("telegraph", NOW) is None
    assert due("e-mail", NOW) == 0
    assert due("e-mail", NOW + 59) is None, "another engine has it"
    assert due("e-mail", NOW + 60) == 0, "it died"
    store.note_failure(alert.alert_id, "e-mail", due_at=NOW + 70, trouble="refused")
    assert due("e-mail", NOW + 69) is None
    assert due("e-mail", NOW + 71) == 1
    store.note_delivery(alert.alert_id, "e-mail", now=NOW + 72)
    assert due("e-mail", NOW + 9999) is None
    assert due("webhook", NOW + 9999) == 0, "channels do not know of each other"
    store.note_failure(alert.alert_id, "webhook", due_at=None, trouble="given up")
    assert due("webhook", NOW + 99999) is None
    mail, hook = store.alerts("s", only_open=False, cursor=None, limit=1).items[0].deliveries
    assert (mail.delivered_at, mail.due_at, mail.failures, mail.trouble) == (NOW + 72, None, 1, "")
    assert (hook.delivered_at, hook.due_at, hook.failures, hook.trouble) == (None, None, 1, "given up")


def test_engines_that_look_at_the_same_moment_send_different_alerts(store: SqlStore) -> None:
    watch(store, {**WELL, "min_images": 1})
    for number in range(16):
        decide(store, [0.1], well=f"A{number:02d}")
    raised = judge(store)
    together = Barrier(4)

    def take_all(_: int) -> list[int]:
        together.wait(5)
        due = (store.next_delivery("webhook", now=NOW, claim_s=60) for _ in range(16))
        return [delivery.alert.alert_id for delivery in due if delivery is not None]

    with ThreadPoolExecutor(4) as engines:
        taken = [alert_id for some in engines.map(take_all, range(4)) for alert_id in some]
    assert sorted(taken) == [alert.alert_id for alert in raised]


def test_a_disk_is_judged_by_what_is_measured(store: SqlStore) -> None:
    watch(store, {"rule": "tier-nearly-full", "tier": "hot", "percent": 80})
    decide(store, [0.9])
    assert judge(store, fills={"hot": Fill(70, 100)}) == []
    [told] = judge(store, fills={"hot": Fill(80, 100)})
    assert told.details == {"tier": "hot", "percent": 80.0, "used_bytes": 80, "size_bytes": 100}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_tier_that_moves_fill_is_watched_and_moves_are_no_second_end(store: SqlStore) -> None:
    nearly = {"rule": "tier-nearly-full", "tier": "warm", "percent": 90}
    rules = [nearly, FINISHED, SILENCE]
    pipeline = Pipeline.parse({**PIPELINE.to_json(), "alerts": rules})
    store.create_stream("s", pipeline, "enforce", now=NOW)
    decide(store, [0.9, 0.8])
    run(store, "tier")
    fills: dict[str, Fill | None] = {"warm": Fill(10, 100)}
    assert [alert.rule for alert in judge(store, now=NOW + 61, fills=fills)] == ["finished"]
    assert store.watched() == []

    warm = {"intervals": [{"lo": 0, "hi": 1, "tier": "warm"}], "undefined": "cold"}
    store.set_policy("s", Pipeline.parse({**pipeline.to_json(), "policy": warm}))
    due = store.to_redecide(limit=10)
    store.redecided([(one, Decision(0.9, "warm", "why", "f" * 64, {})) for one in due], now=NOW + 5000)
    assert len(store.start_moves(limit=10, now=NOW + 5000)) == 2
    assert store.watched() == ["s"]
    fills = {"warm": Fill(99, 100)}
    assert [alert.rule for alert in judge(store, now=NOW + 5000, fills=fills)] == ["tier-nearly-full"]
    run(store, "tier")
    assert judge(store, now=NOW + 9000, fills=fills) == []
    assert store.watched() == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_end_is_told_again_after_a_retry(store: SqlStore) -> None:
    watch(store, FINISHED, SILENCE)
    decide(store, [0.9])
    [message] = claim(store, "tier")
    store.record([result_of(message, TaskState.BAD_INPUT)], now=NOW)
    assert [alert.rule for alert in judge(store, now=NOW + 61)] == ["finished"]
    assert (judge(store, now=NOW + 1000), store.watched()) == ([], [])
    store.retry_job(message.job_id, now=NOW + 1000)
    assert store.watched() == ["s"]
    assert judge(store, now=NOW + 1100) == []
    run(store, "tier")
    [told] = judge(store, now=NOW + 1200)
    assert (told.rule, told.details) == ("finished", {"done": 1, "failed": 0, "cancelled": 0})

"""From a score to those who are told, with real servers: who is away or hangs holds up nobody else."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from haste_core.alert_stores import AlertRecord
from haste_core.alerts import Fill
from haste_core.decisions import Decision
from haste_core.errors import TransientError
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_server.channels import webhook
from haste_server.channels.mail import Mail
from haste_server.channels.settings import EmailSettings, WebhookSettings
from haste_server.channels.webhook import Webhook
from haste_server.engine import alerting, gauge
from haste_server.engine.alerting import GIVE_UP_AFTER_S, Alerting, Channel, Messenger, Watcher, pause_after
from haste_server.engine.gauge import TierGauge
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted
from tests.services.process import free_port
from tests.services.smtp import MailServer
from tests.services.webhooks import HookServer
from tests.waiting import wait_for

LOW = {"rule": "low-scores", "consecutive": 1, "below": 0.5}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    yield SqlStore(database, Rules(), PIPELINE)
    database.close()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(alerting, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(alerting, "STOP_LIMIT_S", 0.1)


def low_score(store: SqlStore, stream_id: str = "plate7") -> None:
    """Let a stream have an image with a low score."""
    pipeline = Pipeline.parse({**PIPELINE.to_json(), "alerts": [LOW]})
    store.create_stream(stream_id, pipeline, "observe", now=NOW)
    submitted(store, spec("tier", stream_id=stream_id, response={"focus-score": {}}))
    [waiting] = store.undecided(limit=1, now=NOW)
    store.record_decisions([(waiting, Decision(0.1, "hot", "why", "f" * 64, {}))], now=NOW)


def hook(url: str) -> Webhook:
    return Webhook(WebhookSettings.model_validate({"url": url}))


def mailer(port: int) -> Mail:
    address = "haste@lab.example.org"
    given = {"host": "127.0.0.1", "port": port, "security": "none", "sender": address}
    return Mail(EmailSettings.model_validate({**given, "recipients": [address]}))


def troubles(store: SqlStore, stream_id: str = "plate7") -> dict[str, tuple[bool, str]]:
    """Tell of each channel whether its alert was delivered, and the trouble."""
    [alert] = store.alerts(stream_id, only_open=True, cursor=None, limit=10).items
    return {one.channel: (one.delivered_at is not None, one.trouble) for one in alert.deliveries}


@pytest.mark.usefixtures("_quick")
def test_channels_that_fail_or_hang_do_not_hold_up_the_others(store: SqlStore) -> None:
    with ExitStack() as stack:
        hanging, failing = (stack.enter_context(HookServer(*way)) for way in ((0,), (500, 500, 200)))
        mail_server = stack.enter_context(MailServer())
        refused = hook(f"http://127.0.0.1:{free_port()}/")
        channels: list[Channel] = [hook(hanging.url), refused, hook(failing.url), mailer(mail_server.port)]
        low_score(store)
        logs = stack.enter_context(capture_logs())
        told = Alerting(store=store, channels=channels, folders={}, quotas={}, clock=time.time)
        told.start()
        stack.callback(told.stop)

        wait_for(lambda: mail_server.received and len(failing.received) == 3 and hanging.received)
        wait_for(lambda: troubles(store)[channels[2].name][0])
        wait_for(lambda: troubles(store)[refused.name][1])

        found = troubles(store)
        assert found[channels[0].name] == (False, "")
        assert found[refused.name] == (False, "127.0.0.1: no connection, or it broke")
        assert found[channels[2].name] == (True, "")
        assert found["e-mail"] == (True, "")
        assert len({received.body["id"] for received in failing.received}) == 1
        assert len(mail_server.received) == 1
        began = time.monotonic()
        told.stop()
        assert time.monotonic() - began < 3, "nobody waits for a receiver that hangs"
        hung = [thread for thread in threading.enumerate() if thread.name == channels[0].name]
    for thread in hung:  # its receiver is gone; it notes that before the database is closed
        thread.join(20)
    [raised] = [line for line in logs if line["action"] == "alert"]
    assert (raised["stream_id"], raised["log_level"]) == ("plate7", "warning")
    assert raised["event"].startswith("1 image in a row scored below 0.5")
    refusals = [line for line in logs if line["action"] == "alert_not_delivered"]
    assert {line["channel"] for line in refusals} == {refused.name, channels[2].name}


def test_an_alert_that_nobody_takes_is_given_up_after_three_days(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_TIMEOUT_S", 0.1)
    low_score(store)
    channel = hook(f"http://127.0.0.1:{free_port()}/")
    [alert], _ = store.judge("plate7", now=NOW, listening_since=NOW, fills={}, channels=[channel.name])
    times = iter([NOW, NOW, NOW + GIVE_UP_AFTER_S, NOW + GIVE_UP_AFTER_S])
    messenger = Messenger(store=store, channel=channel, clock=lambda: next(times))
    messenger.stop()
    messenger.step()
    [before] = store.alerts("plate7", only_open=True, cursor=None, limit=1).items[0].deliveries
    assert (before.failures, before.due_at) == (1, NOW + 5)
    with capture_logs() as logs:
        messenger.step()
    [after] = store.alerts("plate7", only_open=True, cursor=None, limit=1).items[0].deliveries
    assert (after.failures, after.due_at, after.delivered_at) == (2, None, None)
    assert [line["action"] for line in logs] == ["alert_given_up"]
    assert alert.event_id not in channel.name


def test_pauses_grow_to_a_quarter_of_an_hour() -> None:
    assert [pause_after(failures) for failures in (0, 1, 2, 7, 8, 1000)] == [5, 10, 20, 640, 900, 900]


def test_a_fault_of_a_channel_is_told_without_its_words(store: SqlStore) -> None:
    class Faulty:
        name = "faulty"

        def send(self, alert: AlertRecord) -> str:
            raise ValueError("http://chat/secret")

    low_score(store)
    store.judge("plate7", now=NOW, listening_since=NOW, fills={}, channels=["faulty"])
    messenger = Messenger(store=store, channel=Faulty(), clock=lambda: NOW)
    messenger.stop()
    messenger.step()
    assert troubles(store) == {"faulty": (False, "ValueError; the server's log has more")}


@pytest.mark.usefixtures("_quick")
def test_a_fault_about_one_stream_does_not_keep_the_others_from_being_watched(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream_id in ("a", "b", "c"):
        low_score(store, stream_id)
    judge = store.judge

    def faulty(stream_id: str, **more: object) -> object:
        if stream_id == "b":
            raise ValueError("b cannot be judged")
        return judge(stream_id, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "judge", staticmethod(faulty))
        with pytest.raises(ValueError, match="b cannot"):
            Watcher(store=store, gauge=gauge_of(store), channels=[], clock=lambda: NOW).step()
    assert [store.open_alerts(stream_id) for stream_id in ("a", "b", "c")] == [1, 0, 1]


def gauge_of(store: SqlStore, **quotas: int) -> TierGauge:
    return TierGauge({}, quotas, held_bytes=store.held_bytes)


def test_a_quota_is_compared_with_what_a_tier_holds(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "enforce", now=NOW)
    for number in range(3):
        response = {"focus-score": {"size_bytes": 300}}
        submitted(store, spec("tier", source_id=f"A{number}", stream_id="s", response=response))
    for waiting in store.undecided(limit=10, now=NOW):
        decision = Decision(0.5, "hot", "why", "f" * 64, waiting.scored.features)
        store.record_decisions([(waiting, decision)], now=NOW)
    measuring = gauge_of(store, hot=1000, cold=1000)
    measuring.stop()
    measuring.step()
    assert measuring.fills() == {"hot": Fill(900, 1000, of="quota"), "cold": Fill(0, 1000, of="quota")}


def test_disks_are_measured_where_the_folders_are_or_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"there": tmp_path, "later": tmp_path / "not" / "yet"}
    measuring = TierGauge(folders, {}, held_bytes=lambda _: 0)
    assert measuring.fills() == {"there": None, "later": None}
    measuring.stop()
    measuring.step()
    disk = os.statvfs(tmp_path)
    expected = 100 * (1 - disk.f_bavail / (disk.f_blocks - disk.f_bfree + disk.f_bavail))
    for fill in measuring.fills().values():
        assert isinstance(fill, Fill)
        assert fill.percent == pytest.approx(expected, abs=0.5)

    def broken(_: Path) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(gauge.shutil, "disk_usage", broken)
    with pytest.raises(TransientError, match="tier later cannot be measured: stale"):
        measuring.step()
    assert measuring.fills() == {"there": None, "later": None}

"""The whole agent, with its own server, where a disk is short, or the lab's server does not take all."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile

from haste_apps.agent import acquisition, sent_images
from haste_apps.agent.acquisition import Acquisition
from haste_apps.agent.display import Display
from haste_apps.agent.settings import AgentSettings
from haste_apps.interruption import Interruption
from haste_core.stores import JobFilter
from haste_runtime.exit_codes import ExitCode
from haste_server.store.sql import SqlStore
from tests.e2e.plates import write_image
from tests.integration.api.conftest import Api
from tests.services.forward_proxy import running_forward_proxy
from tests.services.wsgi import serving
from tests.waiting import wait_for

TOKEN = "the lab's token"
HOST = "http://haste.example.org"
"""Where nobody is: only the proxy knows better."""


class Record(Display):
    """Keeps what the agent tells."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.said: list[str] = []
        self.told: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def event(self, event: str, **fields: Any) -> None:
        self.told.append({"event": event, **fields})

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.told if event["event"] == kind]


class RunningAgent:
    """An agent in this process; its own server is a program, as always."""

    def __init__(self, settings: AgentSettings, *, once: bool) -> None:
        self.record = Record()
        self.outcome: ExitCode | BaseException | None = None
        self._interruption = Interruption()
        self._acquisition = Acquisition(settings, self.record, self._interruption, once=once)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self._acquisition.run()
        except BaseException as error:
            self.outcome = error

    def wait_for(self, condition: Callable[[Record], Any]) -> Any:
        """Wait until something was told, unless the agent ends."""

        def look() -> Any:
            found = condition(self.record)
            assert found or self._thread.is_alive(), (self.outcome, self.record.said)
            return found

        return wait_for(look)

    def end(self) -> None:
        self._interruption.heard.set()
        self._thread.join()

    def wait(self) -> ExitCode | BaseException | None:
        self._thread.join(60)
        return self.outcome


@pytest.fixture
def lab(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


@contextmanager
def running_agent(folder: Path, *, once: bool = False, **more: Any) -> Iterator[RunningAgent]:
    given = {"tag": "lab1", "token": TOKEN, "operator": "none", "settle_s": 0.1}
    settings = AgentSettings.model_validate(
        {"path": folder / "plate7", "data_dir": folder / "agent", **given, **more}
    )
    agent = RunningAgent(settings, once=once)
    try:
        yield agent
    finally:
        agent.end()


def write_noise(path: Path, size_px: int) -> None:
    tifffile.imwrite(path, np.random.default_rng(1).integers(0, 2**16, (size_px, size_px), dtype=np.uint16))


def names_at(lab: Api) -> list[str]:
    return [job.spec.source_id for job in lab.store.jobs(JobFilter(), cursor=None, limit=10).items]


def names_here(folder: Path) -> list[str]:
    """Tell whose jobs the agent's own server still has."""
    with closing(sqlite3.connect(folder / "agent" / "server" / "haste.sqlite3")) as connection:
        return [name for (name,) in connection.execute("SELECT source_id FROM jobs ORDER BY job_id")]


def test_a_short_disk_here_and_there_and_a_file_that_is_too_large(
    lab: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = SimpleNamespace(free=10**9)  # half of what shall stay free
    monkeypatch.setattr(acquisition, "shutil", SimpleNamespace(disk_usage=lambda _: here))
    monkeypatch.setattr(sent_images, "JOBS_KEPT", 0)
    object.__setattr__(lab.uploads.room, "leaves_free_bytes", 2**60)
    write_image(tmp_path / "plate7" / "small.tif", seed=1)
    object.__setattr__(lab.uploads.room, "max_bytes", 300_000)
    write_noise(tmp_path / "plate7" / "large.tif", 512)

    with (
        serving(lab.client.application) as url,
        running_forward_proxy() as proxy,
        running_agent(tmp_path, once=True, host=HOST, proxy=proxy.url) as agent,
    ):
        proxy.hosts["haste.example.org"] = urlsplit(url).port or 0
        agent.wait_for(lambda record: any("Less than 2.0 GB are free" in text for text in record.said))
        time.sleep(0.5)  # some looks long
        assert agent.record.events("found") == []
        assert proxy.asked == []

        here.free = 10**12
        agent.wait_for(lambda record: any("507" in str(one["message"]) for one in record.events("trouble")))
        (refused,) = agent.wait_for(lambda record: record.events("failed"))
        assert names_at(lab) == []

        object.__setattr__(lab.uploads.room, "leaves_free_bytes", 0)
        assert agent.wait() is ExitCode.WORK_FAILED

    assert refused["source_id"] == "large.tif"
    assert "413 the file has 524," in refused["message"]
    assert "this server takes at most 300,000" in refused["message"]
    assert any(text.startswith("large.tif was not sent: ") for text in agent.record.said)
    (uploaded,) = agent.record.events("uploaded")
    assert uploaded["source_id"] == "small.tif"
    assert agent.record.events("trouble")[-1]["message"] is None
    assert names_at(lab) == ["small.tif"]
    assert {asked.partition(" ")[2] for asked in proxy.asked} == {"haste.example.org"}

    assert names_here(tmp_path) == ["large.tif"]


@pytest.mark.slow  # quick: test_when_the_hours_are_over_the_rest_waits_for_the_next, test_sent_images.py
def test_nothing_is_sent_outside_the_hours_nor_twice(
    lab: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent_images, "JOBS_KEPT", 0)
    object.__setattr__(lab.uploads.room, "max_bytes", 300_000)
    write_image(tmp_path / "plate7" / "small.tif", seed=1)
    write_noise(tmp_path / "plate7" / "large.tif", 512)
    later = datetime.now() + timedelta(hours=2)
    closed = f"{later:%H}-{later + timedelta(hours=1):%H}"
    with serving(lab.client.application) as url:
        with running_agent(tmp_path, host=url, hours=closed) as agent:
            trouble = agent.wait_for(lambda record: record.events("trouble"))[0]
        assert f"nothing is sent before the hours {later:%H}:00-" in trouble["message"]
        assert names_at(lab) == []

        opened = f"{later - timedelta(hours=4):%H}-{later + timedelta(hours=1):%H}"
        with running_agent(tmp_path, once=True, host=url, hours=opened) as agent:
            assert agent.wait() is ExitCode.WORK_FAILED
        assert (names_at(lab), names_here(tmp_path)) == (["small.tif"], ["large.tif"])

        # What was refused is tried again at the next start; what was sent is known, though its job has left.
        object.__setattr__(lab.uploads.room, "max_bytes", 10**6)
        with running_agent(tmp_path, once=True, host=url) as agent:
            assert agent.wait() is ExitCode.DONE
    assert agent.record.events("found") == []
    (uploaded,) = agent.record.events("uploaded")
    assert uploaded["source_id"] == "large.tif"
    assert (names_at(lab), names_here(tmp_path)) == (["small.tif", "large.tif"], [])

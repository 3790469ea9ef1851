"""How a server's processes watch one another."""

import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from haste_core.dead_letters import DeadLetter, DeadLetters
from haste_core.errors import TransientError
from haste_server.processes import beacon as beacon_module
from haste_server.processes import claims
from haste_server.processes.beacon import LOOPBACK, EngineBeacon, EngineContact
from haste_server.processes.children import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, ChildProcess, RestartPause
from haste_server.processes.claims import DataFolderClaim, UrlFile
from haste_server.processes.parts import Part, Parts, server_url, serving_text
from tests.waiting import wait_for


def test_a_data_folder_has_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LOCK_WAIT_S", 0.2)
    first = DataFolderClaim(tmp_path / "data")

    with pytest.raises(TransientError, match="another haste-server"):
        DataFolderClaim(tmp_path / "data")
    first.release()

    DataFolderClaim(tmp_path / "data").release()


def test_the_url_file_appears_and_disappears(tmp_path: Path) -> None:
    path = tmp_path / "run" / "url"
    file = UrlFile(path)

    file.write("http://127.0.0.1:5510")
    assert path.read_text() == "http://127.0.0.1:5510\n"
    assert list(path.parent.iterdir()) == [path]
    file.remove("http://127.0.0.1:1")
    file.remove("http://127.0.0.1:1")

    assert not path.exists()


def test_the_pause_grows_while_a_process_dies_young() -> None:
    restart_pause = RestartPause()

    pauses = [restart_pause.pause_s(0.1) for _ in range(12)]

    assert pauses[:2] == [0.0, SHORTEST_PAUSE_S]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert restart_pause.pause_s(3600) == 0.0


def test_a_child_that_dies_is_started_again_and_stops_when_asked() -> None:
    started: list[subprocess.Popen[bytes]] = []
    child = ChildProcess(
        name="sleeper",
        command=[sys.executable, "-c", "import time; time.sleep(60)"],
        environment={},
        on_start=started.append,
    )
    child.start()
    started[0].kill()
    wait_for(lambda: len(started) == 2)

    child.stop(timeout_s=10)

    assert started[1].poll() is not None
    assert len(started) == 2


def test_a_child_that_does_not_listen_is_killed() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    started: list[subprocess.Popen[bytes]] = []
    child = ChildProcess(
        name="deaf",
        command=[sys.executable, "-c", deaf],
        environment={},
        with_pipes=True,
        on_start=started.append,
    )
    child.start()
    (process,) = started
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.read(1)

    child.stop(timeout_s=0.2)

    assert process.poll() is not None
    process.stdin.close()
    process.stdout.close()


def test_web_hears_of_the_engine_and_wakes_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "engine.json"
    woken = threading.Event()
    contact = EngineContact(path)
    assert contact.look()["engine"] == "it does not run"
    contact.wake()
    beacon = EngineBeacon(path, wake=woken.set, look=lambda: {"broker": "away", "engine": "ok"})
    beacon.start()
    wait_for(lambda: contact.look() == {"broker": "away", "engine": "ok"})

    contact.wake()

    assert woken.wait(10)
    beacon.stop()
    assert not path.exists()
    wait_for(lambda: contact.look()["engine"] == "it does not run")
    contact.wake()
    contact.close()


def test_an_engine_that_fails_once_to_tell_of_itself_does_so_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beacon_module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(beacon_module, "PAUSE_AFTER_TROUBLE_S", 0.01)
    looks, calls, woken = itertools.count(), [], threading.Event()

    def look() -> dict[str, str]:
        if next(looks) < 3:
            raise RuntimeError("a fault in what is looked at")
        return {"broker": "ok", "engine": "ok"}

    def wake() -> None:
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise RuntimeError("a fault in the engine")
        woken.set()

    contact = EngineContact(tmp_path / "engine.json")
    beacon = EngineBeacon(tmp_path / "engine.json", wake=wake, look=look)
    beacon.start()
    wait_for(lambda: contact.look() == {"broker": "ok", "engine": "ok"})
    contact.wake()
    wait_for(lambda: bool(calls))
    contact.wake()

    assert woken.wait(10)
    beacon.stop()
    contact.close()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["signs of life in trouble", "wake-up calls in trouble"]


def test_a_stranger_s_datagram_does_not_deafen_the_engine(tmp_path: Path) -> None:
    path, woken = tmp_path / "engine.json", threading.Semaphore(0)
    beacon = EngineBeacon(path, wake=woken.release, look=lambda: {"broker": "ok", "engine": "ok"})
    beacon.start()
    wait_for(path.exists)
    address = (LOOPBACK, json.loads(path.read_text())["wake_port"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for content in (b"x" * 60_000, b"", b"!"):
            stranger.sendto(content, address)
            assert woken.acquire(timeout=10)
    beacon.stop()


def test_web_hears_of_dead_letters_while_the_engine_lives(tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    letters = DeadLetters(7, (DeadLetter("haste.results", "v: should be 1", "{\x00é", 1.5),))
    contact = EngineContact(path)
    assert contact.dead_letters() is None
    beacon = EngineBeacon(
        path,
        wake=lambda: None,
        look=lambda: {"broker": "ok", "engine": "ok"},
        dead_letters=lambda: letters,
    )
    beacon.start()
    wait_for(lambda: contact.dead_letters() == letters)

    beacon.stop()

    wait_for(lambda: contact.dead_letters() is None)
    contact.close()


def test_a_silent_engine_is_told(tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    sign = {"at": time.time() - 60, "wake_port": 9, "broker": "ok", "engine": "ok"}
    path.write_text(json.dumps(sign))
    contact = EngineContact(path)

    assert "nothing heard of it for 60 s" in contact.look()["engine"]
    path.write_text("half a fi")
    wait_for(lambda: contact.look()["engine"] == "it does not run")
    contact.close()


def test_parts_stop_in_the_reverse_order() -> None:
    told: list[str] = []
    parts = [Part(lambda n=n: told.append(f"start {n}"), lambda n=n: told.append(f"stop {n}")) for n in "ab"]
    all_parts = Parts(None, tuple(parts))

    all_parts.start()
    all_parts.stop()

    assert told == ["start a", "start b", "stop b", "stop a"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("192.168.1.5", "http://192.168.1.5:80"),
    ],
)
def test_the_servers_own_programs_reach_it(host: str, url: str) -> None:
    assert server_url(host, 80) == url
    assert serving_text(host, 80).startswith(f"serving at {url}")
    assert ("from other machines at port 80" in serving_text(host, 80)) == (host in ("0.0.0.0", "::"))

"""The handler of `upload` where it sends to another server than its own, which may be away for long."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from haste_core.states import TaskState
from haste_workers import sending
from haste_workers.durable import sha256_of
from haste_workers.handlers import upload
from haste_workers.pacing import Hours
from tests.services.forward_proxy import running_forward_proxy
from tests.services.tls import certified
from tests.unit.workers.bench import RunTask
from tests.unit.workers.landing import TOKEN, Landing, running_landing


def of(landing: Landing, **more: Any) -> dict[str, Any]:
    return {"destination": {"url": landing.url, "token": TOKEN, **more}}


@pytest.fixture
def on_pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], object]], None]:
    """Return a function that has something happen in place of each pause of the sender."""

    def put(instead: Callable[[float], object]) -> None:
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=instead)
        monkeypatch.setattr(sending, "time", clock)

    return put


@pytest.mark.parametrize(("status", "least_s"), [(401, 60), (403, 60), (503, 0.5), (507, 0.5)])
def test_what_is_no_fault_of_the_file_is_waited_for(
    run_task: RunTask, landing: Landing, source: Path, on_pause: Any, status: int, least_s: float
) -> None:
    landing.refusal = (status, {"detail": "not now"})
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            landing.refusal = None

    on_pause(pause)
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert len(pauses) == 2
    assert pauses[0] >= least_s
    assert list(landing.files.values()) == [source.read_bytes()]


def test_a_server_that_is_away_for_longer_than_patience_is_tried_again_later(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    result = run_task("upload", source, settings=of(landing, url="http://127.0.0.1:9", patience_s=0.3))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "cannot be reached" in result.message


@pytest.mark.parametrize("status", [400, 413])
def test_what_is_the_files_fault_is_final(
    run_task: RunTask, landing: Landing, source: Path, status: int
) -> None:
    landing.refusal = (status, {"detail": "too large for this server"})
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.ERROR
    assert f"{status} too large for this server" in result.message


def test_a_file_that_another_program_holds_is_tried_again_later(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where the microscope's program may open a file anew for itself."""
    held = PermissionError(errno.EACCES, "The process cannot access the file", str(source))
    held.winerror = 32  # type: ignore[attr-defined]

    def refuse(_path: Path) -> str:
        raise held

    with monkeypatch.context() as patch:
        patch.setattr(upload, "sha256_of", refuse)
        result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert result.message == f"another program has {source} open for itself"
    assert run_task("upload", source, settings=of(landing)).state is TaskState.DONE


def test_a_clock_that_jumps_does_not_end_the_patience(
    run_task: RunTask, landing: Landing, source: Path, on_pause: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.refusal = (503, {"detail": "not now"})
    jumps = iter([2e9, 0.0, 1e9])
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        jump = next(jumps, None)
        if jump is None:
            landing.refusal = None
        else:
            monkeypatch.setattr(time, "time", lambda: jump)
        pauses.append(seconds)

    on_pause(pause)
    result = run_task("upload", source, settings=of(landing, patience_s=60))
    assert result.state is TaskState.DONE, result.message
    assert pauses == [0.5, 1, 2, 4]


def test_certificates_of_the_labs_own_authority(run_task: RunTask, source: Path, tmp_path: Path) -> None:
    certificate, context = certified(tmp_path)
    with running_landing(tmp_path / "landing", tls=context) as landing:
        distrusted = run_task("upload", source, settings=of(landing, patience_s=0.1))
        assert distrusted.state is TaskState.REMOTE_TROUBLE
        assert "cannot be trusted: self-signed certificate" in distrusted.message
        trusted = run_task("upload", source, settings=of(landing, ca_file=certificate))
        assert trusted.state is TaskState.DONE, trusted.message
        assert list(landing.files.values()) == [source.read_bytes()]


def test_proxy_that_alone_knows_the_server(run_task: RunTask, landing: Landing, source: Path) -> None:
    with running_forward_proxy() as proxy:
        proxy.hosts["haste.example.org"] = urlsplit(landing.url).port or 0
        elsewhere = {"url": "http://haste.example.org", "proxy": proxy.url, "patience_s": 0.1}
        result = run_task("upload", source, settings=of(landing, **elsewhere))
        unknown = run_task(
            "upload", source, settings=of(landing, **elsewhere | {"url": "http://nowhere.lab"})
        )
    assert result.state is TaskState.DONE, result.message
    assert list(landing.files.values()) == [source.read_bytes()]
    assert proxy.asked[:2] == ["POST haste.example.org", "PATCH haste.example.org"]
    assert (unknown.state, "502" in unknown.message) == (TaskState.REMOTE_TROUBLE, True), unknown.message
    away = run_task("upload", source, settings=of(landing, **elsewhere))
    assert away.state is TaskState.REMOTE_TROUBLE
    assert f"connection refused (asked through the proxy {proxy.url})" in away.message


def test_encrypted_by_way_of_a_proxy(run_task: RunTask, source: Path, tmp_path: Path) -> None:
    certificate, context = certified(tmp_path)
    with running_landing(tmp_path / "landing", tls=context) as landing, running_forward_proxy() as proxy:
        proxy.hosts["127.0.0.1"] = urlsplit(landing.url).port or 0
        way = {"proxy": proxy.url, "ca_file": certificate, "patience_s": 0.1}
        result = run_task("upload", source, settings=of(landing, **way))
    assert result.state is TaskState.DONE, result.message
    assert set(proxy.asked) == {"CONNECT 127.0.0.1"}
    assert list(landing.files.values()) == [source.read_bytes()]


def test_when_the_hours_are_over_the_rest_waits_for_the_next(
    run_task: RunTask, landing: Landing, source: Path, on_pause: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens_in_s = [30.0, *[0.0] * 6, 30.0]  # closed at first, and again in the middle of the file
    monkeypatch.setattr(Hours, "opens_in_s", lambda *_: opens_in_s.pop(0) if opens_in_s else 0.0)
    pauses: list[float] = []
    on_pause(pauses.append)
    result = run_task("upload", source, settings=of(landing, hours="18-07", patience_s=1))
    assert result.state is TaskState.DONE, result.message
    assert [pause for pause in pauses if pause >= 30] == [30, 30]
    assert list(landing.files.values()) == [source.read_bytes()]
    assert landing.received_bytes == 600_000


def test_no_faster_than_the_limit(run_task: RunTask, landing: Landing, source: Path) -> None:
    began = time.monotonic()
    result = run_task("upload", source, settings=of(landing, bytes_per_s=1_500_000))
    assert result.state is TaskState.DONE, result.message
    assert time.monotonic() - began > 0.25  # 0.4 s, but for the first pieces


@pytest.mark.slow  # 10 GB are hashed twice; quick: test_after_a_broken_connection_the_rest_is_sent
def test_ten_gigabytes_are_gone_on_with(
    run_task: RunTask, landing: Landing, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes, last_bytes = 10 * 10**9, 500_000
    if shutil.disk_usage(data_dir).free < 2 * size_bytes:
        pytest.skip("the landing area asks for as much room as the file has bytes, though it is sparse here")
    source = data_dir / "stack.tif"
    with source.open("wb") as file:
        file.seek(size_bytes - last_bytes)
        file.write(os.urandom(last_bytes))
    sha256 = sha256_of(source)
    monkeypatch.setattr(upload, "sha256_of", lambda _path: sha256)
    landing.cuts.append(200_000)

    def receive_most() -> None:
        for part in landing.folder.glob(".uploads/*.part"):
            os.truncate(part, size_bytes - last_bytes)

    landing.on_creation = receive_most
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert landing.received_bytes == 200_000 + last_bytes
    (landed,) = landing.folder.glob(f"plate7/??/{sha256}.tif")
    assert landed.stat().st_size == result.response["size_bytes"] == size_bytes

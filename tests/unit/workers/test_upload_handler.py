"""The handler of `upload`, against the real landing area behind a server that can be made to fail."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from haste_core.states import TaskState
from haste_runtime.locks import try_lock
from haste_server.gateway.uploads import FolderUploads
from haste_workers import sending
from haste_workers.durable import sha256_of
from tests.unit.workers.bench import RunTask
from tests.unit.workers.landing import TOKEN, Landing


def of(landing: Landing) -> dict[str, Any]:
    return {"server_url": landing.url, "token": TOKEN}


def test_file_arrives_whole_and_its_place_is_the_servers(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    settings = {"server_url": f"{landing.url}/", "token": TOKEN}
    result = run_task("upload", source, settings=settings, source_id="A 01/sitß1")
    assert result.state is TaskState.DONE, result.message
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert landing.files == {f"plate7/{sha256[:2]}/{sha256}.tif": source.read_bytes()}
    (said,) = landing.said
    assert (said.stream_id, said.filename, said.job) == ("plate7", "A 01/sitß1.tif", "no")
    assert result.place is not None
    assert (result.place.site, result.place.size_bytes) == ("hpc", 600_000)
    assert result.response["sha256"] == sha256


def test_again_is_no_error_and_nothing_is_sent_twice(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    first = run_task("upload", source, settings=of(landing))
    second = run_task("upload", source, settings=of(landing))
    assert (second.state, second.place) == (TaskState.DONE, first.place)
    assert landing.received_bytes == 600_000


def test_empty_file(run_task: RunTask, landing: Landing, data_dir: Path) -> None:
    (data_dir / "empty.tif").touch()
    result = run_task("upload", data_dir / "empty.tif", settings=of(landing))
    assert result.state is TaskState.DONE
    assert list(landing.files.values()) == [b""]


def test_hostile_name_stays_below_the_stream(run_task: RunTask, landing: Landing, source: Path) -> None:
    run_task("upload", source, settings=of(landing), source_id="../../jobs/..")
    ((path, _),) = landing.files.items()
    assert path.startswith("plate7/")
    assert ".." not in unquote(path).split("/")


@pytest.mark.parametrize("status", [429, 500, 503, 507])
def test_trouble_of_the_server_is_tried_again(
    run_task: RunTask, landing: Landing, source: Path, status: int
) -> None:
    landing.refusal = (status, {"detail": "the landing area is full"})
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert f"{status} the landing area is full" in result.message


@pytest.mark.parametrize("status", [301, 400, 401, 413])
def test_refusal_is_final_and_says_why(
    run_task: RunTask, landing: Landing, source: Path, status: int
) -> None:
    landing.refusal = (status, {"detail": "too large for this server"})
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.ERROR
    assert f"{status} too large for this server" in result.message


def test_file_that_changed_since_it_was_recorded_is_refused(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    result = run_task("upload", source, settings=of(landing), sha256="0" * 64)
    assert result.state is TaskState.ERROR
    assert f"not {'0' * 64}" in result.message
    assert landing.files == {}


def test_after_a_broken_connection_the_rest_is_sent(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    landing.cuts = [200_000, 150_000]
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert list(landing.files.values()) == [source.read_bytes()]
    assert landing.received_bytes == 600_000


def test_connection_that_breaks_at_the_same_place_again_is_tried_later(
    run_task: RunTask, landing: Landing, source: Path
) -> None:
    landing.cuts = [200_000, 0, 0]
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "cannot be reached" in result.message

    later = run_task("upload", source, settings=of(landing))

    assert later.state is TaskState.DONE, later.message
    assert landing.received_bytes == 600_000


def test_upload_that_the_server_believes_to_be_under_way_is_waited_for(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.cuts = [200_000, 0, 0]
    run_task("upload", source, settings=of(landing))
    (record,) = landing.folder.glob(".uploads/*.upload")
    with record.open("rb") as held:
        deadline = time.monotonic() + 10
        while not try_lock(held):  # the server has yet to notice that the last connection was cut
            assert time.monotonic() < deadline
        monkeypatch.setattr(sending, "HELD_S", -1)
        refused = run_task("upload", source, settings=of(landing))
        assert refused.state is TaskState.REMOTE_TROUBLE
        assert "423" in refused.message
        monkeypatch.setattr(sending, "HELD_S", 60)
        monkeypatch.setattr(sending.time, "sleep", lambda _: held.close())
        result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert landing.received_bytes == 600_000


def test_upload_that_was_removed_meanwhile_is_begun_anew(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = FolderUploads.append

    def removed(self: FolderUploads, upload_id: str, *arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(FolderUploads, "append", append)
        self.remove(upload_id)
        return append(self, upload_id, *arguments, **options)

    monkeypatch.setattr(FolderUploads, "append", removed)
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert list(landing.files.values()) == [source.read_bytes()]


def test_file_that_becomes_shorter_is_sent_later(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.on_creation = lambda: os.truncate(source, 100_000)
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "shorter" in result.message
    assert landing.files == {}


def test_answer_that_breaks_off_is_tried_again(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.answers_half = True
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "broke off" in result.message


class ChangedAfterHashing:
    """Has the file change each time when it has been hashed, so many times."""

    def __init__(self, source: Path, times: int) -> None:
        self._source = source
        self._left = times

    def __call__(self, path: Path) -> str:
        digest = sha256_of(path)
        if self._left > 0:
            self._left -= 1
            with self._source.open("ab") as file:
                file.write(b"more pixels")
        return digest


def test_file_that_changes_between_hashing_and_sending_is_sent_as_it_is_then(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_workers.handlers.upload.sha256_of", ChangedAfterHashing(source, 1))
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message
    assert list(landing.files.values()) == [source.read_bytes()]
    assert result.response["sha256"] == sha256_of(source)


def test_file_that_goes_on_changing_is_sent_later(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_workers.handlers.upload.sha256_of", ChangedAfterHashing(source, 9))
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "still being written" in result.message
    assert landing.files == {}


def test_proxy_of_the_lab_is_not_asked_for_this_machine(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.DONE, result.message


def test_server_that_is_away_is_tried_again(run_task: RunTask, source: Path) -> None:
    result = run_task("upload", source, settings={"server_url": "http://127.0.0.1:9"})
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "http://127.0.0.1:9 cannot be reached" in result.message


def test_something_else_than_a_haste_server(run_task: RunTask, landing: Landing, source: Path) -> None:
    landing.nonsense = b"<html>hello</html>"
    result = run_task("upload", source, settings=of(landing))
    assert result.state is TaskState.ERROR
    assert "does not answer like a HASTE server" in result.message


def test_worker_without_server(run_task: RunTask, source: Path) -> None:
    result = run_task("upload", source)
    assert result.state is TaskState.ERROR
    assert "--server-url" in result.message

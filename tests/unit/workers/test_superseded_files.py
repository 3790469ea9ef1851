"""What `preprocess` leaves in a worker's folder, and what becomes of it."""

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haste_core.errors import HasteError, TransientError
from haste_core.messages import Place
from haste_core.routing import Roots
from haste_core.states import TaskState
from haste_workers.job_questions import JobAtServer, job_asker
from haste_workers.settings import WorkerSettings
from haste_workers.superseded import GRACE_S, IntermediateFiles, superseded_files_removed
from tests.unit.workers.bench import RunTask

LANDED = "root://landing/plate7/ab/abc.tif"
JOB_ID = 1001  # of the task messages that `run_task` makes


class Ask:
    """Answers for one job, and remembers how often it was asked."""

    def __init__(self, job: JobAtServer | None) -> None:
        self.job = job
        self.asked: list[int] = []

    def __call__(self, job_id: int) -> JobAtServer | None:
        self.asked.append(job_id)
        return self.job


def answer(
    place_url: str = LANDED, *, state: int = 200, source_url: str = "file:///a.tif", stream_id: str = "plate7"
) -> JobAtServer:
    return JobAtServer(stream_id, source_url, state, place_url)


class Leftover:
    """The output of a preprocess task, made long ago."""

    def __init__(self, run_task: RunTask, source: Path, work_dir: Path) -> None:
        self.work_dir = work_dir
        self._run_task, self._source = run_task, source
        self.place = self.make()
        self.path = Path(Roots.parse({"work": work_dir}).path_of(self.place.url))
        self.age()

    def make(self) -> Place:
        result = self._run_task("preprocess", self._source)
        assert result.state is TaskState.DONE, result.message
        assert result.place is not None
        return result.place

    def age(self, age_s: float = 2 * GRACE_S) -> None:
        for path in (self.path, self.path.parent):
            os.utime(path, (time.time() - age_s,) * 2)

    def files(self, ask: Any, **options: Any) -> IntermediateFiles:
        roots = Roots.parse({"work": self.work_dir})
        aside = self.work_dir / "tmp"
        return IntermediateFiles(
            self.work_dir, roots=roots, ask=ask, aside=aside, pause=lambda _: None, **options
        )


@pytest.fixture
def leftover(run_task: RunTask, cells_tiff: Path, tmp_path: Path) -> Leftover:
    return Leftover(run_task, cells_tiff, tmp_path / "work")


def test_file_is_removed_when_the_job_is_done_with_another_place(leftover: Leftover) -> None:
    ask = Ask(answer())
    assert leftover.files(ask).remove_superseded() == 1
    assert ask.asked == [JOB_ID]
    assert [path for path in leftover.work_dir.rglob("*") if path.is_file()] == []
    assert not leftover.path.parent.exists()


@pytest.mark.parametrize("state", [201, 102, 205, 404, 500, 503])
def test_file_stays_while_the_job_may_go_on_or_be_retried(leftover: Leftover, state: int) -> None:
    assert leftover.files(Ask(answer(state=state))).remove_superseded() == 0
    assert leftover.path.exists()


def test_file_that_is_the_object_or_an_original_stays(leftover: Leftover) -> None:
    url = leftover.place.url
    originals = (url, leftover.path.as_uri())
    for job in (answer(url), *(answer(source_url=original) for original in originals)):
        assert leftover.files(Ask(job)).remove_superseded() == 0
        assert leftover.path.exists()


def test_file_of_a_job_that_the_server_does_not_know_stays(leftover: Leftover) -> None:
    for job in (answer(stream_id="plate8"), None):
        assert leftover.files(Ask(job)).remove_superseded() == 0
        assert leftover.path.exists()


def test_fresh_file_stays_and_the_server_is_not_asked(leftover: Leftover) -> None:
    leftover.age(GRACE_S / 2)
    ask = Ask(answer())
    assert leftover.files(ask).remove_superseded() == 0
    assert ask.asked == []


def test_second_attempt_protects_the_file_that_it_found(leftover: Leftover) -> None:
    assert leftover.make() == leftover.place
    os.utime(leftover.path.parent, (time.time() - 2 * GRACE_S,) * 2)
    assert leftover.files(Ask(answer())).remove_superseded() == 0
    assert leftover.path.exists()


def test_removed_file_is_made_again_at_the_same_place(leftover: Leftover) -> None:
    leftover.files(Ask(answer())).remove_superseded()
    assert leftover.make() == leftover.place
    assert leftover.path.exists()


def test_task_that_finds_its_input_removed_says_what_to_do(leftover: Leftover, run_task: RunTask) -> None:
    leftover.files(Ask(answer())).remove_superseded()
    result = run_task("focus-score", leftover.place.url)
    assert result.state is TaskState.SOURCE_MISSING
    assert str(leftover.path) in result.message
    assert "forceretry 'preprocess'" in result.message


def test_what_stays_is_asked_about_less_and_less(leftover: Leftover) -> None:
    now = time.time()
    ask = Ask(answer(leftover.place.url))
    files = leftover.files(ask, clock=lambda: now)
    for _ in range(3):
        files.remove_superseded()
    assert len(ask.asked) == 1
    now += 3 * GRACE_S
    files.remove_superseded()
    assert len(ask.asked) == 2


def test_nothing_else_in_the_work_folder_is_touched(leftover: Leftover) -> None:
    others = [
        "output/plate7/a/x.csv",
        "preprocessed/plate7/17/x.tif",
        "preprocessed/plate7/job-x/x.tif",
        "own",
    ]
    for name in others:
        path = leftover.work_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for old in (path, path.parent):
            os.utime(old, (0, 0))
    leftover.files(Ask(answer())).remove_superseded()
    assert all((leftover.work_dir / name).exists() for name in others)


def test_outage_of_the_server_removes_nothing(leftover: Leftover) -> None:
    def ask(_: int) -> JobAtServer:
        raise TransientError("no server")

    with pytest.raises(HasteError):
        leftover.files(ask).remove_superseded()
    assert leftover.path.exists()


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = {"url": LANDED, "site": "lab1"}
            job = {"stream_id": "plate7", "source_url": "file:///a", "state": 200, "place": place, "more": 1}
            known = (
                self.path in ("/HASTE/job/7", f"/HASTE/job/{JOB_ID}")
                and self.headers["Authorization"] == "Bearer open-sesame"
            )
            body = json.dumps(job).encode()
            self.send_response(
                {"/HASTE/job/8": 404, "/HASTE/job/9": 503}.get(self.path, 200 if known else 401)
            )
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_worker_asks_its_server(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    settings = WorkerSettings(
        work_dir=tmp_path, server_url=f"http://127.0.0.1:{server.server_port}", token="open-sesame"
    )
    with job_asker(settings) as ask:
        assert ask(7) == JobAtServer("plate7", "file:///a", 200, LANDED)
        assert ask(8) is None
        with pytest.raises(TransientError, match="503"):
            ask(9)


def test_worker_removes_files_while_it_runs(
    server: http.server.ThreadingHTTPServer, leftover: Leftover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_workers.superseded._FIRST_SWEEP_S", 0.0)
    settings = WorkerSettings(
        work_dir=leftover.work_dir, server_url=f"http://127.0.0.1:{server.server_port}", token="open-sesame"
    )
    with superseded_files_removed(settings, aside=leftover.work_dir):
        deadline = time.monotonic() + 20
        while leftover.path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_worker_without_a_server_removes_nothing(leftover: Leftover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste_workers.superseded._FIRST_SWEEP_S", 0.0)
    with superseded_files_removed(WorkerSettings(work_dir=leftover.work_dir), aside=leftover.work_dir):
        assert "superseded-files" not in {thread.name for thread in threading.enumerate()}
    assert leftover.path.exists()


def test_server_that_is_away_is_no_answer(tmp_path: Path) -> None:
    settings = WorkerSettings(work_dir=tmp_path, server_url="http://127.0.0.1:9")
    with job_asker(settings) as ask, pytest.raises(TransientError):
        ask(7)

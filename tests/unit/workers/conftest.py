"""A worker's surroundings, a way to run one task in this process, and whole workers with children."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tifffile

from haste_core.messages import TaskMessage, TaskResult
from haste_workers.execution import Executor
from haste_workers.handlers.registry import BUILT_IN, load_handler
from haste_workers.settings import WorkerSettings
from tests.unit.workers.bench import RunTask, cells
from tests.unit.workers.landing import Landing, running_landing
from tests.unit.workers.messages import task_message
from tests.unit.workers.running_worker import RunningWorker
from tests.unit.workers.web_server import WebServer, running_web_server


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return the folder that the worker's root ``data`` names."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def run_task(tmp_path: Path, data_dir: Path) -> RunTask:
    """Return a function that runs one task with a built-in handler and returns its result."""

    def run(
        task_key: str, source: Path | str, *, settings: dict[str, Any] | None = None, **message: Any
    ) -> TaskResult:
        url = source.as_uri() if isinstance(source, Path) else source
        worker = WorkerSettings(
            **{"work_dir": tmp_path / "work", "roots": {"data": data_dir}, **(settings or {})}
        )
        handlers = {task_key: load_handler(BUILT_IN[task_key])}
        executor = Executor(handlers, settings=worker, worker_id="w", scratch=tmp_path / "work" / "tmp")
        task: TaskMessage = task_message(1, task_key, url=url, **message)
        result = executor.run(task, on_progress=lambda *_: None)
        assert not list((tmp_path / "work").glob("tmp/*"))
        return result

    return run


@pytest.fixture
def cells_tiff(data_dir: Path) -> Path:
    """Return an uncompressed TIFF of cells."""
    path = data_dir / "A01_s1.tif"
    tifffile.imwrite(path, cells())
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningWorker]]:
    """Return a function that starts a worker with the settings that it is given."""
    started: list[RunningWorker] = []

    def start_worker(**settings: Any) -> RunningWorker:
        worker = RunningWorker(tmp_path / "work", **settings)
        started.append(worker)
        return worker.__enter__()

    yield start_worker
    for worker in started:
        worker.__exit__()


@pytest.fixture
def worker(start: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the test's own, with one child."""
    return start()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """Return a worker for all tests that need no other settings; it survives whatever they do."""
    with RunningWorker(tmp_path_factory.mktemp("lasting")) as worker:
        yield worker


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    """Return a server that takes files, and can be made to fail."""
    with running_landing(tmp_path / "landing") as running:
        yield running


@pytest.fixture
def source(data_dir: Path) -> Path:
    """Return a file to send, of 600,000 bytes."""
    path = data_dir / "field.tif"
    path.write_bytes(b"pixels" * 100_000)
    return path


@pytest.fixture
def web() -> Iterator[WebServer]:
    """Return a web server on the loopback interface."""
    with running_web_server() as server:
        yield server


@pytest.fixture
def proxy_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a proxy that nobody answers at, as labs name theirs."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that this process takes for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder

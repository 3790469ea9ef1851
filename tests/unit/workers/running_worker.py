"""A worker whose children are real processes; only the broker is in memory."""

import itertools
import threading
from pathlib import Path
from typing import Any

from haste_workers.handlers.registry import BUILT_IN
from haste_workers.runner import Runner
from haste_workers.settings import WorkerSettings
from tests.unit.workers.memory_transport import MemoryTransport
from tests.unit.workers.messages import task_message

SAMPLES = "tests.unit.workers.sample_handlers"
HANDLERS = {
    name.replace("_", "-"): f"{SAMPLES}:{name}"
    for name in (
        "nothing",
        "echo",
        "sleep",
        "segfault",
        "leave",
        "starve",
        "hoard",
        "take_and_free",
        "progress_slowly",
        "fail_as_asked",
        "answer_as_asked",
        "print_much",
        "write_temporary",
        "start_program",
        "start_background_program",
        "tell_progress",
    )
}
HANDLERS["tier"] = HANDLERS["nothing"]
MEASURING = {"focus-score": BUILT_IN["focus-score"]}


class RunningWorker:
    """A runner in a thread, and its transport.

    Only one that is `measuring` takes focus-score: its children then load what images need, which takes
    longer than all else that they do to start.
    """

    def __init__(self, work_dir: Path, *, measuring: bool = False, **settings: Any) -> None:
        self.transport = MemoryTransport()
        self.settings = WorkerSettings(work_dir=work_dir, **{"concurrency": 1, **settings})
        self.scratch = work_dir / "scratch"
        self.runner = Runner(
            self.transport,
            settings=self.settings,
            handlers=HANDLERS | MEASURING if measuring else HANDLERS,
            worker_id="worker-1",
            scratch=self.scratch,
        )
        self._task_ids = itertools.count(1000)
        self._returned: list[bool] = []
        self.thread = threading.Thread(target=lambda: self._returned.append(self.runner.run()))

    def __enter__(self) -> "RunningWorker":
        self.thread.start()
        assert self.runner.up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.abandon()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def join(self) -> bool:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self._returned[0]

    def run(
        self, task_key: str, task_id: int | None = None, url: str | None = None, **parameters: Any
    ) -> Any:
        """Run one task and return its result."""
        task_id = next(self._task_ids) if task_id is None else task_id
        source = {} if url is None else {"url": url}
        self.transport.deliver(task_message(task_id, task_key, parameters=parameters, **source))
        self.transport.wait_until(lambda: any(r.task_id == task_id for r, _ in self.transport.results))
        return self.transport.result_of(task_id)


def wait_for_start(transport: MemoryTransport, task_id: int = 1) -> None:
    transport.wait_until(
        lambda: any(h.task_id == task_id and h.started_at for p in transport.presences for h in p.held),
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

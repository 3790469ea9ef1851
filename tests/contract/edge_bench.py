"""A microscope's computer on a simulated clock: real store and selector; workers and link only wait."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from haste_core.jobs import JobRecord
from haste_core.messages import Outcome, Place, TaskMessage, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.engine.dispatcher import TRIES
from haste_server.engine.edge_selector import EdgeSelector
from haste_server.store.edge import EdgeTasks
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, spec, submitted

SIZE = 500_000
TREE = {"taskSequential": [{"Task": {"task_key": "preprocess", "optional": True}}, "upload"]}

Answers = Callable[[TaskMessage, TaskResult], TaskResult]


def image(number: int, **more: object) -> dict[str, object]:
    """Describe the job of an image."""
    given = {"source_id": f"i{number}", "index": number, "source_version": f"{SIZE}-1{number}-0123abcd"}
    return {"tasks": TREE, **given, **more}


def saved_by(message: TaskMessage) -> int:
    """Tell what preprocessing an image saves: much among the first of a hundred, little later."""
    return 150_000 if int(message.job["source_id"][1:]) % 100 < 30 else 5_000


@dataclass
class Computer:
    """Slots, a link and a clock.

    Attributes
    ----------
    answers : callable
        Makes of a worker's usual result what is reported.
    """

    store: SqlStore
    cores: int = 1
    upload_slots: int = 4
    bytes_per_s: float = 2e6
    preprocess_s: float = 0.4
    answers: Answers = lambda _message, result: result
    now: float = NOW
    preprocessed: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    events: list[tuple[float, int, TaskMessage]] = field(default_factory=list)
    link_free_at: float = NOW

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        """Begin with a selector that knows nothing."""
        self.selector = EdgeSelector(EdgeTasks(self.store.database), clock=lambda: self.now)
        for key in ("preprocess", "upload"):
            assert self.selector.choose(Route(key, "default"), 9, now=self.now) == []
        self.look()

    def look(self) -> None:
        """Let the selector do what it does beside."""
        self.selector._awake.set()
        self.selector.step()

    def submit(self, *numbers: int, **more: object) -> list[int]:
        return submitted(self.store, *(spec(**image(number, **more)) for number in numbers), now=self.now)

    def choose(self, key: str, slots: int) -> list[int]:
        return self.selector.choose(Route(key, "default"), slots, now=self.now)

    def claim(self, key: str, slots: int) -> list[TaskMessage]:
        """Choose and claim, as the dispatcher does: once more where something chosen was cancelled."""
        claimed: list[TaskMessage] = []
        for _ in range(TRIES):
            chosen = self.choose(key, slots - len(claimed))
            new = self.store.claim_chosen(Route(key, "default"), chosen, now=self.now, lease_s=30)
            claimed += new
            if len(new) == len(chosen):
                break
        return claimed

    def hand_out(self) -> None:
        """Fill free slots, the link's first."""
        busy = [message.task_key for _, _, message in self.events]
        for message in self.claim("upload", self.upload_slots - busy.count("upload")):
            size_bytes = message.place.size_bytes or SIZE
            self.link_free_at = max(self.link_free_at, self.now) + size_bytes / self.bytes_per_s
            heapq.heappush(self.events, (self.link_free_at, message.task_id, message))
        for message in self.claim("preprocess", self.cores - busy.count("preprocess")):
            heapq.heappush(self.events, (self.now + self.preprocess_s, message.task_id, message))

    def run(self, *, until: int | None = None) -> None:
        """Work until so many images are sent, or nothing is left to do."""
        self.hand_out()
        while self.events and (until is None or len(self.sent) < until):
            self.now, _, message = heapq.heappop(self.events)
            self.end(message)
            self.look()
            self.hand_out()

    def end(self, message: TaskMessage) -> None:
        """Report what became of an attempt."""
        result = self.answers(message, self._result(message))
        self.store.record([result], now=self.now)
        if result.outcome is Outcome.ENDED and result.state is TaskState.DONE:
            (self.preprocessed if message.task_key == "preprocess" else self.sent).append(message.job_id)
        self.store.release_due(now=self.now + 1000)

    def _result(self, message: TaskMessage) -> TaskResult:
        smaller = message.task_key == "preprocess"
        size_bytes = SIZE - saved_by(message) if smaller else message.place.size_bytes or SIZE
        took_s = self.preprocess_s if smaller else size_bytes / self.bytes_per_s
        return TaskResult(
            task_id=message.task_id,
            attempt=message.attempt,
            worker_id="w1",
            outcome=Outcome.ENDED,
            state=TaskState.DONE,
            response={"bytes_before": SIZE, "bytes_after": size_bytes} if smaller else {},
            place=Place(url="root://work/x", site="default", size_bytes=size_bytes),
            started_at=self.now - took_s,
            ended_at=self.now,
        )

    def jobs(self, job_ids: list[int]) -> list[JobRecord]:
        return [self.store.job(job_id) for job_id in job_ids]

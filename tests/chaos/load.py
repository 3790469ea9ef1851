"""Jobs of every kind, submitted without a pause, and what must have become of each in the end."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from haste_client import HasteClient
from haste_core.states import TaskState
from tests.chaos.handlers import FUNCTION, effect_of, name_of

STREAM = "storm"
CLIENTS = 3  # for each server
_URGENT = 1000.0  # above all others
PATIENCE_S = 240.0  # a client gives up after this; nothing here is away for so long

DONE, NEVER_RUN, SKIPPED = TaskState.DONE, TaskState.REGISTERED, TaskState.SKIPPED
TIERS = ("dim", "bright")
PIPELINE = {
    "name": STREAM,
    "description": "Decide by the answer of `cut`",
    "tasks": {"taskSequential": ["cut", "tier"]},
    "interestingness": {"function": FUNCTION, "features_from": "cut"},
    "policy": {
        "intervals": [{"lo": 0.0, "hi": 0.5, "tier": TIERS[0]}, {"lo": 0.5, "hi": 1.0, "tier": TIERS[1]}],
        "undefined": "empty",
    },
}


def _optional(key: str) -> dict[str, Any]:
    return {"Task": {"task_key": key, "optional": True}}


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    Attributes
    ----------
    tasks : JSON value
        As in a job spec.
    after : mapping
        By each task's key, the keys of those whose answers it has in any case.
    ends : mapping
        By each task's key, the states in which it may end.
    state : TaskState
        In which the job ends.
    fails_at, fails : str
        Which task fails, and how: ``twice``, ``for good`` or ``by death``.
    """

    tasks: Any
    after: Mapping[str, list[str]]
    ends: Mapping[str, set[TaskState]]
    state: TaskState = DONE
    fails_at: str = ""
    fails: str = ""
    bright: int = 1
    weight: int = 10


_ROW = {"taskSequential": ["cut", "stain", "count"]}
_ROW_AFTER: dict[str, list[str]] = {"cut": [], "stain": ["cut"], "count": ["cut", "stain"]}
_IF_BRIGHT = {
    "taskSequential": ["cut", {"Task": {"task_key": "stain", "when": "cut.bright > 0"}}, "count"],
}
_IF_BRIGHT_AFTER: dict[str, list[str]] = {"cut": [], "stain": ["cut"], "count": ["cut"]}
_ALL_DONE = {key: {DONE} for key in _ROW_AFTER}
_TIERED_AFTER: dict[str, list[str]] = {"cut": [], "tier": ["cut"]}
_TIERED_DONE = {key: {DONE} for key in _TIERED_AFTER}

KINDS: Mapping[str, Kind] = {
    "alone": Kind("weigh", {"weigh": []}, {"weigh": {DONE}}),
    "in a row": Kind(_ROW, _ROW_AFTER, _ALL_DONE),
    "side by side": Kind(
        {"taskSequential": ["cut", {"taskParallel": ["stain", "count"]}, "weigh"]},
        {"cut": [], "stain": ["cut"], "count": ["cut"], "weigh": ["cut", "stain", "count"]},
        {key: {DONE} for key in ("cut", "stain", "count", "weigh")},
    ),
    "if there is time": Kind(
        {"taskSequential": ["cut", _optional("polish"), "count"]},
        {"cut": [], "polish": ["cut"], "count": ["cut"]},
        {"cut": {DONE}, "polish": {DONE, SKIPPED}, "count": {DONE}},
    ),
    "if bright, and it is": Kind(_IF_BRIGHT, _IF_BRIGHT_AFTER, _ALL_DONE),
    "if bright, and it is not": Kind(
        _IF_BRIGHT, _IF_BRIGHT_AFTER, {"cut": {DONE}, "stain": {SKIPPED}, "count": {DONE}}, bright=0
    ),
    "tiered as bright": Kind(PIPELINE["tasks"], _TIERED_AFTER, _TIERED_DONE),
    "tiered as dim": Kind(PIPELINE["tasks"], _TIERED_AFTER, _TIERED_DONE, bright=0),
    "fails in passing": Kind(_ROW, _ROW_AFTER, _ALL_DONE, fails_at="stain", fails="twice"),
    "fails for good": Kind(
        _ROW,
        _ROW_AFTER,
        {"cut": {DONE}, "stain": {TaskState.BAD_INPUT}, "count": {NEVER_RUN}},
        state=TaskState.BAD_INPUT,
        fails_at="stain",
        fails="for good",
    ),
    "kills its process": Kind(
        "weigh",
        {"weigh": []},
        {"weigh": {TaskState.ERROR}},
        state=TaskState.ERROR,
        fails_at="weigh",
        fails="by death",
        weight=1,  # each death costs the start of a process
    ),
}


def effects(source_id: str, kind: Kind) -> dict[str, str]:
    """Name the effects that the tasks of a job leave if they are done, by task key."""
    names: dict[str, str] = {}
    for key, keys_before in kind.after.items():
        before = [names[earlier] for earlier in keys_before]
        if key == "tier":
            before.append(TIERS[kind.bright])
        names[key] = name_of(effect_of(source_id, key, before))
    return names


class Run(NamedTuple):
    """A handler that began: for what, when (seconds since 1970), and in whose child process."""

    source_id: str
    key: str
    attempt: int
    at: float
    worker_pid: int


@dataclass
class Load:
    """Submits jobs in threads of its own, some for each server, until it is stopped.

    Attributes
    ----------
    folder : Path
        For the effects.
    jobs_per_s : float
    most : int
        How many jobs at all.
    accepted : dict of str
        The kind of each accepted job, by its number.
    """

    folder: Path
    seed: int
    jobs_per_s: float = 12.0
    most: int = 100_000
    longest_task_s: float = 0.3
    accepted: dict[int, str] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("effects", "failures", "unfinished"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, *urls: str) -> None:
        """Begin to submit to these servers."""
        clients = [url for url in urls for _ in range(CLIENTS)]
        for number, url in enumerate(clients):
            specs = self._specs(f"client{number}-", random.Random(self.seed + number))
            self._threads.append(threading.Thread(target=self._submit, args=(url, specs, len(clients))))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Submit no more; what was begun is submitted to the end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def submit_now(
        self,
        url: str,
        count: int,
        *,
        name: str,
        kind: str | None = None,
        seconds: float | None = None,
        urgent: bool = False,
    ) -> list[int]:
        """Submit some jobs at once; of one kind, and with tasks of one duration, if these are given."""
        rng = random.Random(self.seed)
        specs = [
            self._spec(f"{name}{number:06}", kind or _any_kind(rng), rng, seconds) for number in range(count)
        ]
        if urgent:
            specs = [{**spec, "priority": _URGENT} for spec in specs]
        with HasteClient(url) as client:
            return self._send(client, specs)

    def runs(self) -> list[Run]:
        """List what ran, in the order of the beginnings."""
        noted = self.folder / "runs"
        lines = noted.read_text().splitlines() if noted.exists() else []
        return [
            Run(source, key, int(attempt), float(at), int(worker))
            for source, key, attempt, at, worker in map(str.split, lines)
        ]

    def _submit(self, url: str, specs: Iterator[dict[str, Any]], threads: int) -> None:
        rng = random.Random(self.seed)
        with HasteClient(url, retry_for_s=PATIENCE_S) as client:
            client.check_ready()
            while not self._stopping.is_set() and len(self.accepted) < self.most:
                together = rng.choice((1, 1, 6))
                try:
                    self._send(client, [next(specs) for _ in range(together)])
                except Exception as error:
                    self.refusals.append(f"{type(error).__name__}: {error}")  # told by the verdict
                self._stopping.wait(rng.uniform(0, 2 * together * threads / self.jobs_per_s))

    def _send(self, client: HasteClient, specs: list[dict[str, Any]]) -> list[int]:
        if len(specs) == 1:
            numbers = [client.submit_job(specs[0]).job_id]
        else:
            answers = client.submit_jobs(specs)
            numbers = [answer.job_id for answer in answers if answer.job_id is not None]
            self.refusals += [str(answer) for answer in answers if answer.job_id is None]
        with self._lock:
            for number, spec in zip(numbers, specs, strict=False):
                self.accepted[number] = spec["metadata"]["kind"]
                self.sources[number] = spec["source_id"]
        return numbers

    def _specs(self, name: str, rng: random.Random) -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            yield self._spec(f"{name}{number:06}", _any_kind(rng), rng)

    def _spec(
        self, source_id: str, chosen: str, rng: random.Random, seconds: float | None = None
    ) -> dict[str, Any]:
        kind = KINDS[chosen]
        metadata = {
            "kind": chosen,
            "folder": str(self.folder),
            "seconds": round(rng.uniform(0, self.longest_task_s), 3) if seconds is None else seconds,
            "after": dict(kind.after),
            "fails_at": kind.fails_at,
            "fails": kind.fails,
            "bright": kind.bright,
        }
        return {
            "source_url": f"root://nas/{source_id}",
            "source_id": source_id,
            "stream_id": STREAM,
            "tasks": kind.tasks,
            "priority": round(rng.uniform(0, 10), 2),
            "metadata": metadata,
        }


def _any_kind(rng: random.Random) -> str:
    [chosen] = rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])
    return chosen

"""Handlers of a user's own that leave an effect on disk: named by its content, so that it is there once.

And an interestingness function of a user's own.

Each run is noted too, so that a test can count how often a task ran and when.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haste_core.errors import BadInputError, TransientError
from haste_core.interestingness import ScoredObject

KEYS = ("cut", "stain", "count", "polish", "weigh", "tier")
HANDLER = "tests.chaos.handlers:work"
FUNCTION = "tests.chaos.handlers:brightness"
_SCORING_S = 0.1  # long enough to be killed in


def work(job: Mapping[str, Any], task: Any, context: Any) -> dict[str, Any]:
    """Do what the job's metadata ask for, and leave the effect."""
    plan, key = job["metadata"], task.task_key
    folder = Path(plan["folder"])
    _note_run(folder, job["source_id"], key, task.attempt)
    time.sleep(plan["seconds"])
    if key == plan["fails_at"]:
        _fail(plan["fails"], folder, f"{job['source_id']} {key}")
    before = [job["response"][earlier]["effect"] for earlier in plan["after"][key]]
    if task.decision is not None:
        before.append(task.decision.tier)
    effect = effect_of(job["source_id"], key, before)
    _leave(folder / "effects", effect)
    return {"effect": name_of(effect), "bright": plan["bright"]}


def brightness() -> Callable[[ScoredObject], float]:
    """Make the interestingness function."""

    def score(scored: ScoredObject) -> float:
        time.sleep(_SCORING_S)
        return float(scored.features["bright"])

    return score


def effect_of(source_id: str, key: str, before: list[str]) -> bytes:
    """Write what a task leaves: it proves that the answers and the decision before it had arrived."""
    return json.dumps({"source_id": source_id, "key": key, "before": before}).encode()


def name_of(effect: bytes) -> str:
    """Name an effect by its content."""
    return hashlib.sha256(effect).hexdigest()


def _fail(how: str, folder: Path, name: str) -> None:
    if how == "for good":
        raise BadInputError("this image cannot be read")
    if how == "by death":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "twice" and _first(folder / "failures", name, times=2):
        raise TransientError("the share does not answer")


def _first(folder: Path, name: str, *, times: int) -> bool:
    """Tell whether this was asked less often than that before, by anybody."""
    for number in range(times):
        try:
            (folder / f"{name} {number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _note_run(folder: Path, source_id: str, key: str, attempt: int) -> None:
    line = f"{source_id} {key} {attempt} {time.time():.3f} {os.getppid()}\n".encode()
    noted = os.open(folder / "runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(noted, line)  # one call: lines of several processes do not mix
    finally:
        os.close(noted)


def _leave(folder: Path, effect: bytes) -> None:
    temporary = folder.parent / "unfinished" / f"{name_of(effect)}.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(effect)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / name_of(effect))

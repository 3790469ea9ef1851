"""Another policy for a stream of 100,000 objects: what it moves, how fast, and what asking costs.

A border is moved so that a tenth of the objects change their tier. Only these have files, so that whatever
else was touched would fail. Measured is the time from the request to the last move, beside a bare loop
that copies the same number of equal files in as many processes: to a temporary name, flushed, read again
for the SHA-256, renamed, and the former file removed. A page and previews are asked for over HTTP: of the
moved border, and of functions whose scores nobody has computed before.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.decided_plate import STREAM, DecidedPlate
from benchmarks.floor_tiering import PROCESSES, copied
from benchmarks.system import System, Work, embedded_system, print_figures, say, work_folder
from haste_core.pipelines import Pipeline
from haste_server.catalogue import load_pipelines

TIERS = ("tierA", "tierB", "tierC", "tierD", "empty")
ASKED = 20  # times, for a page and a preview
ASKED_SELDOM = 5  # times, for a preview of another function
TRIED: dict[str, tuple[str, dict[str, Any]]] = {
    "feature": ("logistic", {"feature": "signal_fraction", "k": 8, "x0": 0.5}),
    "expression": ("expression", {"expression": "(plls - noise_lift + 3) / 3", "clip": True}),
    "precomputed": ("precomputed", {"field": "wanted"}),
    "quantile": ("quantile", {"feature": "signal_fraction"}),
}
AUDIT = {"fraction": 0.1, "tier": "tierB"}
_TIMEOUT_S = 1200.0
_POLL_S = 0.25  # seldom: each answer costs the server time


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    objects: int


FULL = Size(objects=100_000)
QUICK = Size(objects=200)


def changed(pipeline: Pipeline) -> dict[str, Any]:
    """Return a policy whose lowest tier begins at 0.35 in place of 0.25."""
    assert pipeline.policy is not None
    policy = pipeline.policy.model_dump(mode="json")
    policy["intervals"][0]["hi"] = policy["intervals"][1]["lo"] = 0.35
    return policy


def bare_loop_s(plate: DecidedPlate, moving: list[int], folder: Path) -> float:
    """Measure copying the files that are to move, with nobody to ask."""
    target = folder / "floor" / "tierD"
    target.mkdir(parents=True)
    files = [plate.file(number, plate.tier(number)) for number in moving]
    with get_context("spawn").Pool(PROCESSES) as processes:
        processes.map(partial(copied, folder=target), files[:PROCESSES])  # has both started
        began = time.perf_counter()
        processes.map(partial(moved, folder=target), files, chunksize=1)
        took_s = time.perf_counter() - began
    shutil.rmtree(target)
    plate.write_files(moving)
    return took_s


def moved(file: Path, *, folder: Path) -> None:
    """Move a file to another folder, as one must who may be interrupted."""
    copied(file, folder=folder)
    file.unlink()


def retier_s(system: System, policy: dict[str, Any], expected: int) -> float:
    """Give the stream another policy, and tell how long it takes until all is where it belongs."""
    began = time.perf_counter()
    _post(system, "policy", policy)
    while not _is_settled(system, expected):
        if time.perf_counter() > began + _TIMEOUT_S:
            raise TimeoutError(f"not all is where it belongs after {_TIMEOUT_S:g} s")
        time.sleep(_POLL_S)
    return time.perf_counter() - began


def _is_settled(system: System, expected: int) -> bool:
    stream = _get(system, "")
    progress = stream["progress"]
    if progress["failed"]:
        raise RuntimeError(f"{progress['failed']} objects could not be moved: more moved than should")
    open_ = progress["to_redecide"] + progress["to_move"] + progress["open"]
    return bool(not open_ and stream["tiers"]["tierD"]["count"] == expected)


def _get(system: System, what: str) -> dict[str, Any]:
    answer = system.http.get(f"{system.server.url}/HASTE/stream/{STREAM}{what}", timeout=120)
    answer.raise_for_status()
    return dict(answer.json())


def _post(
    system: System, what: str, policy: dict[str, Any], function: dict[str, Any] | None = None
) -> dict[str, Any]:
    url = f"{system.server.url}/HASTE/stream/{STREAM}/{what}"
    body = {"policy": policy} if function is None else {"policy": policy, "interestingness": function}
    answer = system.http.post(url, json=body, timeout=120)
    answer.raise_for_status()
    return dict(answer.json())


def median_s(ask: Callable[[], object], *, times: int = ASKED) -> float:
    """Measure what an answer takes."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def pages_s(system: System) -> float:
    """Measure a page in the middle of the list."""
    first = _get(system, "/images?limit=100&max=0.5")["next"]
    return median_s(lambda: _get(system, f"/images?limit=100&max=0.5&cursor={first}"))


def previews_s(system: System, pipeline: Pipeline, policy: dict[str, Any]) -> dict[str, float]:
    """Measure previews: of other borders, with an audit, and of other functions."""
    spec = pipeline.interestingness
    assert spec is not None
    preview = partial(_post, system, "policy/preview")
    figures = {
        "preview_100k_s": median_s(partial(preview, policy)),
        "preview_audit_100k_s": median_s(partial(preview, policy | {"audit": AUDIT}), times=ASKED_SELDOM),
    }
    for name, (function, parameters) in TRIED.items():
        asked = spec.model_dump(mode="json") | {"function": function, "parameters": parameters}
        figures[f"preview_{name}_100k_s"] = median_s(partial(preview, policy, asked), times=ASKED_SELDOM)
    return figures


def measure(size: Size) -> dict[str, float]:
    """Fill a server, ask it, and have it move a tenth."""
    pipeline = load_pipelines()["focus-tier"]
    policy = changed(pipeline)
    with work_folder() as folder:
        plate = DecidedPlate(size.objects, pipeline, folder / "tiers")
        numbers = range(size.objects)
        moving = [number for number in numbers if 0.25 <= plate.score(number) < 0.35]
        in_tier = sum(plate.score(number) < 0.35 for number in numbers)
        say(f"writing {len(moving)} files")
        plate.write_files(moving)
        floor_s = bare_loop_s(plate, moving, folder)
        tiers = {name: {"root": str(plate.tiers / name)} for name in TIERS}
        for name in TIERS:
            (plate.tiers / name).mkdir(parents=True, exist_ok=True)
        work = Work(("tier",), {"HASTE_TIERS": json.dumps(tiers)})
        with embedded_system(folder, concurrency=PROCESSES, work=work) as system:
            say(f"storing {size.objects} objects")
            plate.store(system.database_url)
            page_s = pages_s(system)
            figures = previews_s(system, pipeline, policy)
            took_s = retier_s(system, policy, in_tier)
            _check(plate, moving, _post(system, "policy/preview", policy))
            decided_again = sum(1 for _ in plate.tiers.glob("tierD/*/*"))
    say(f"bare loop {floor_s:.2f} s, re-tiering {took_s:.2f} s")
    return {
        "moved_fraction": decided_again / size.objects,
        "ratio_to_copy_loop": took_s / floor_s,
        **figures,
        "page_100k_ms": 1000 * page_s,
        "retier_s": took_s,
        "copy_loop_s": floor_s,
    }


def _check(plate: DecidedPlate, moving: list[int], preview: dict[str, Any]) -> None:
    """Refuse a run that has not moved all that it should."""
    missing = [number for number in moving if not plate.file(number, "tierD").exists()]
    if missing or preview["moving"]:
        raise RuntimeError(f"{len(missing)} objects are not where the policy wants them: {preview}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few objects: a smoke run")
    print_figures("retier", measure(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()

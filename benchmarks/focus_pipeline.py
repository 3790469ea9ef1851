"""Images of 2160 x 2160 pixels and 16 bits through a server and two worker processes, beside a bare loop.

The pipeline is focus-tier: each image is scored, decided about, and put into a folder. Measured is the time
from the first submission to the end of the last job, of a server as it comes (``ratio_to_floor``), and of
one with MariaDB, RabbitMQ and a worker (``ratio_to_floor_rabbitmq``). The bare loop does in two processes
what cannot be left out: it reads, measures the same features, copies to a temporary name, flushes, reads
again for the SHA-256, and renames. All work on the same files, which are read through before each turn, and
take turns in going first.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.floor_tiering import PROCESSES, Scoring, ready_processes
from benchmarks.system import (
    System,
    Work,
    distributed_system,
    embedded_system,
    print_figures,
    say,
    work_folder,
)
from haste_apps.simulate import MAX_DEFOCUS_UM, cell_field
from haste_client import HasteClient
from haste_client.answers import JobAnswer
from haste_core.features import measure as features_of
from haste_server.catalogue import load_pipelines
from haste_workers.durable import sha256_of
from haste_workers.handlers.focus_score import FocusScoreParameters
from haste_workers.imaging.read import read_image

PIPELINE = "focus-tier"
TIERS = ("tierA", "tierB", "tierC", "tierD", "empty")
_POLL_S = 0.25  # seldom: each answer costs the server time


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    images: int
    side_px: int
    fields: int
    warm_up: int


FULL = Size(rounds=4, images=500, side_px=2160, fields=10, warm_up=10)
QUICK = Size(rounds=1, images=6, side_px=256, fields=2, warm_up=2)

Start = Callable[..., AbstractContextManager[System]]


@dataclass(frozen=True)
class Plate:
    """Images, with what should be found out about them, by their names."""

    images: list[Path]
    plls: dict[str, float | None]
    sha256s: dict[str, str]

    @classmethod
    def written(cls, folder: Path, size: Size) -> Plate:
        """Write images that all differ: a few fields of cells, in and out of focus, each shifted often."""
        folder.mkdir()
        rng = np.random.default_rng(1)
        shape = (size.side_px, size.side_px)
        defocus_um = np.linspace(-MAX_DEFOCUS_UM, MAX_DEFOCUS_UM, size.fields)
        fields = [cell_field(rng, shape, defocus_um=um) for um in defocus_um]
        images = [folder / f"site{number:04}.tif" for number in range(size.images)]
        for number, image in enumerate(images):
            shifted = np.roll(fields[number % size.fields], number, axis=0)
            tifffile.imwrite(image, shifted, photometric="minisblack")
        plls = {image.name: features_of(read_image(image).pixels).plls for image in images}
        return cls(images, plls, {image.name: sha256_of(image) for image in images})

    def read_through(self) -> None:
        """Let memory hold of the files what it can, and nothing that is still to be written."""
        os.sync()
        for image in self.images:
            sha256_of(image)


def bare_loop_s(plate: Plate, size: Size, folder: Path) -> float:
    """Measure the bare loop."""
    parameters = load_pipelines()[PIPELINE].parameters.get("focus-score", {})
    asked = FocusScoreParameters.model_validate(parameters)
    scoring = Scoring(asked.features, folder)
    with ready_processes(scoring, plate.images[: size.warm_up]) as processes:
        began = time.perf_counter()
        sha256s = processes.map(scoring, plate.images, chunksize=1)
        took_s = time.perf_counter() - began
    if sha256s != [plate.sha256s[image.name] for image in plate.images]:
        raise RuntimeError("the bare loop has damaged an image")
    return took_s


def system_s(start: Start, plate: Plate, size: Size, folder: Path) -> float:
    """Measure a server with two worker processes, and look at what it has done."""
    tiers = {name: folder / "tiers" / name for name in TIERS}
    for root in tiers.values():
        root.mkdir(parents=True, exist_ok=True)
    settings = {
        "HASTE_ROOTS": json.dumps({"plate": str(plate.images[0].parent)}),
        "HASTE_TIERS": json.dumps({name: {"root": str(root)} for name, root in tiers.items()}),
    }
    work = Work(("focus-score", "tier"), settings)
    with (
        start(folder, concurrency=PROCESSES, work=work) as system,
        HasteClient(system.server.url) as client,
    ):
        _put_through(client, "warm-up", plate.images[: size.warm_up])
        took_s = _put_through(client, "plate", plate.images)
        _check(client.jobs(stream_id="plate"), plate, tiers)
    return took_s


def _put_through(client: HasteClient, stream_id: str, images: Sequence[Path]) -> float:
    """Submit images, and tell how long it takes until the last job has ended."""
    tasks = client.create_stream(stream_id, pipeline=PIPELINE, mode="enforce").pipeline.tasks
    specs = [
        {
            "source_url": f"root://plate/{image.name}",
            "source_id": image.name,
            "stream_id": stream_id,
            "tasks": tasks,
        }
        for image in images
    ]
    began = time.time()
    client.submit_jobs(specs)
    while client.stream(stream_id).progress.open:
        time.sleep(_POLL_S)
    return max(job.ended_at or math.inf for job in client.jobs(stream_id=stream_id)) - began


def _check(jobs: Iterable[JobAnswer], plate: Plate, tiers: Mapping[str, Path]) -> None:
    """Refuse a run in which a job is not done, or an image not scored, or not whole in its tier."""
    done = {job.source_id: job for job in jobs if job.done}
    for image in plate.images:
        job, sha256 = done[image.name], plate.sha256s[image.name]
        copy = tiers[job.response["tier"]["tier"]] / "plate" / image.name
        recorded = job.place is not None and (job.place.url, job.place.sha256) == (copy.as_uri(), sha256)
        scored = job.response["focus-score"]["plls"] == plate.plls[image.name]
        if not (recorded and scored and sha256_of(copy) == sha256):
            raise RuntimeError(f"{image.name} was not scored and put to its tier as it should be: {job}")


def measure(size: Size) -> dict[str, float]:
    """Measure the bare loop and both shapes in turn; the medians of the rounds."""
    with work_folder() as folder:
        _refuse_full_disk(folder, size)
        say(f"writing {size.images} images")
        plate = Plate.written(folder / "plate", size)
        sides: dict[str, Callable[[Path], float]] = {
            "floor": partial(bare_loop_s, plate, size),
            "embedded": partial(system_s, embedded_system, plate, size),
            "rabbitmq": partial(system_s, distributed_system, plate, size),
        }
        rounds = [_round(plate, sides, number, folder) for number in range(size.rounds)]
    ratios = {name: statistics.median(took_s[name] / took_s["floor"] for took_s in rounds) for name in sides}
    return {
        "ratio_to_floor": ratios["embedded"],
        "ratio_to_floor_rabbitmq": ratios["rabbitmq"],
        **{f"{name}_s": statistics.median(took_s[name] for took_s in rounds) for name in sides},
    }


def _round(
    plate: Plate, sides: Mapping[str, Callable[[Path], float]], number: int, folder: Path
) -> dict[str, float]:
    """Measure each side once, beginning with another one than in the round before."""
    first = number % len(sides)
    took_s = {}
    for name in [*sides][first:] + [*sides][:first]:
        place = folder / f"{name}{number}"
        place.mkdir()
        plate.read_through()
        took_s[name] = sides[name](place)
        shutil.rmtree(place)
    say(", ".join(f"{name} {seconds:.2f} s" for name, seconds in took_s.items()))
    return took_s


def _refuse_full_disk(folder: Path, size: Size) -> None:
    needed = 2.2 * size.images * size.side_px**2 * 2
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"{folder.parent} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed; "
            "name another folder with TMPDIR"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few small images: a smoke run")
    print_figures("focus_pipeline", measure(QUICK if parser.parse_args().quick else FULL))


if __name__ == "__main__":
    main()

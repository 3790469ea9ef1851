"""RabbitMQ, MariaDB, one server and two workers give the same numbers as the embedded shape."""

import csv
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_client import HasteClient, Result, Submission
from haste_core.features.plls import plls
from tests.e2e.programs import Program, Server, upgrade_database

LEASE = {"HASTE_LEASE_S": "4", "HASTE_HEARTBEAT_S": "1"}


@dataclass
class Distributed:
    """One server, two workers, and a folder of images that all may read."""

    server: Server
    workers: list[Program]
    images: Path

    def submit(self, **more: object) -> Submission:
        with HasteClient(self.server.url, roots={"images": self.images}) as client:
            return client.submit_directory(self.images, stream_id="plate", **more)


def start_distributed(
    folder: Path, images: Path, database_url: str, amqp_url: str, cleanup: ExitStack
) -> Distributed:
    environ = {"HASTE_DATABASE_URL": database_url, "HASTE_BROKER_URL": amqp_url, **LEASE}
    upgrade_database(folder / "upgrade", database_url)
    server = Server(folder / "server", environ=environ)
    cleanup.callback(server.stop)
    workers = []
    for number in (1, 2):
        arguments = ("--keys", "focus-score,tier", "--concurrency", "1", "--root", f"images={images}")
        settings = {
            "HASTE_BROKER_URL": amqp_url,
            "HASTE_WORK_DIR": str(folder / f"work{number}"),
            **LEASE,
        }
        worker = Program(f"worker{number}", "haste_workers.cli", *arguments, folder=folder, environ=settings)
        cleanup.callback(worker.stop)
        workers.append(worker)
    return Distributed(server, workers, images)


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of 40 generated images, some in sub-folders."""
    folder = tmp_path / "images"
    generator = np.random.default_rng(3)
    for number in range(40):
        target = folder / f"well{number % 4}" / f"site {number}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        smooth = generator.normal(1000, 300, (32, 32)).repeat(8, axis=0).repeat(8, axis=1)
        tifffile.imwrite(target, (smooth + generator.normal(0, 20, (256, 256))).clip(0, 65535).astype("u2"))
    return folder


def by_source(results: list[Result]) -> dict[str, tuple[float | None, float | None, str | None]]:
    return {result.source_id: (result.plls, result.interestingness, result.tier) for result in results}


def test_every_image_gets_its_score(
    tmp_path: Path, images: Path, mariadb_url: str, amqp_url: str, cleanup: ExitStack
) -> None:
    system = start_distributed(tmp_path, images, mariadb_url, amqp_url, cleanup)
    results = system.submit().wait(timeout_s=60).results()
    assert [result.state for result in results] == ["done"] * 40
    for result in results:
        pixels = tifffile.imread(images / result.source_id)
        assert result.plls == pytest.approx(plls(pixels), abs=1e-9)


def test_a_worker_killed_in_the_middle_changes_nothing(
    tmp_path: Path, images: Path, mariadb_url: str, amqp_url: str, cleanup: ExitStack
) -> None:
    system = start_distributed(tmp_path, images, mariadb_url, amqp_url, cleanup)
    submission = system.submit()
    killer = threading.Thread(target=kill_in_the_middle, args=(submission, system.workers[0]))
    killer.start()
    results = submission.wait(timeout_s=90).results()
    killer.join()
    assert [result.state for result in results] == ["done"] * 40
    undisturbed = {
        str(path.relative_to(images).as_posix()): plls(tifffile.imread(path))
        for path in images.rglob("*.tif")
    }
    assert {result.source_id: result.plls for result in results} == pytest.approx(undisturbed, abs=1e-9)


def kill_in_the_middle(submission: Submission, worker: Program) -> None:
    deadline = time.monotonic() + 30
    while submission.progress().done < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.kill()


def test_a_folder_that_was_submitted_is_not_submitted_again(
    tmp_path: Path, images: Path, mariadb_url: str, amqp_url: str, cleanup: ExitStack
) -> None:
    system = start_distributed(tmp_path, images, mariadb_url, amqp_url, cleanup)
    first = system.submit().wait(timeout_s=60)
    tifffile.imwrite(images / "well0" / "new.tif", np.eye(64, dtype="u2"))
    second = system.submit().wait(timeout_s=60)
    assert len(first.results()) == 40
    assert {result.source_id for result in second.results()} - {r.source_id for r in first.results()} == {
        "well0/new.tif"
    }


def test_real_images_score_as_their_reference(
    shared_dir: Path, tmp_path: Path, mariadb_url: str, amqp_url: str, cleanup: ExitStack
) -> None:
    images = shared_dir / "data" / "images"
    system = start_distributed(tmp_path, images, mariadb_url, amqp_url, cleanup)
    results = system.submit().wait(timeout_s=120).results()
    with (images / "index.csv").open(newline="") as table:
        reference = {row["file"]: float(row["plls_reference_f64"]) for row in csv.DictReader(table)}
    assert len(results) == len(reference)
    assert {result.source_id: result.plls for result in results} == pytest.approx(reference, abs=1e-5)
    assert {result.state for result in results} == {"done"}

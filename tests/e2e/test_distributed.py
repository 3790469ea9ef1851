"""RabbitMQ, MariaDB, one server and two workers give the same numbers as the embedded shape."""

import csv
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import requests
import tifffile
from prometheus_client.parser import text_string_to_metric_families

from haste_client import HasteClient, Result, Submission
from haste_core.features.plls import plls
from tests.e2e.server_process import running_server, running_worker
from tests.tables import make_tables
from tests.waiting import wait_for

LEASE = {"HASTE_LEASE_S": "4", "HASTE_HEARTBEAT_S": "1"}


@dataclass
class Distributed:
    """One server, and workers that may read some folders."""

    folder: Path
    url: str
    amqp_url: str
    cleanup: ExitStack
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start_worker(self, images: Path) -> None:
        number = len(self.workers)
        worker = running_worker(
            self.folder / f"worker{number}.log",
            *("--keys", "focus-score,tier", "--concurrency", 1, "--root", f"images={images}"),
            environment={
                "HASTE_BROKER_URL": self.amqp_url,
                "HASTE_WORK_DIR": str(self.folder / f"work{number}"),
                **LEASE,
            },
        )
        self.workers.append(self.cleanup.enter_context(worker))

    def submit(self, images: Path) -> Submission:
        with HasteClient(self.url, roots={"images": images}) as client:
            return client.submit_directory(images, stream_id="plate")


@pytest.fixture
def system(tmp_path: Path, mariadb_url: str, amqp_url: str) -> Iterator[Distributed]:
    make_tables(mariadb_url)
    environment = {"HASTE_DATABASE_URL": mariadb_url, "HASTE_BROKER_URL": amqp_url, **LEASE}
    with running_server(tmp_path / "data", environment=environment) as server, ExitStack() as cleanup:
        server.wait_until_ready()
        yield Distributed(tmp_path, server.url, amqp_url, cleanup)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of 40 generated images in sub-folders."""
    folder = tmp_path / "images"
    generator = np.random.default_rng(3)
    for number in range(40):
        target = folder / f"well{number % 4}" / f"site {number}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        smooth = generator.normal(1000, 300, (32, 32)).repeat(8, axis=0).repeat(8, axis=1)
        tifffile.imwrite(target, (smooth + generator.normal(0, 20, (256, 256))).clip(0, 65535).astype("u2"))
    return folder


def scores(results: list[Result]) -> dict[str, float | None]:
    return {result.source_id: result.plls for result in results}


def scores_without_any_server(images: Path) -> dict[str, float]:
    return {
        path.relative_to(images).as_posix(): plls(tifffile.imread(path)) for path in images.rglob("*.tif")
    }


def counted(system: Distributed, name: str, **labels: str) -> float | None:
    families = text_string_to_metric_families(requests.get(f"{system.url}/metrics", timeout=10).text)
    samples = (sample for family in families for sample in family.samples)
    return next((one.value for one in samples if (one.name, one.labels) == (name, labels)), None)


def test_a_worker_killed_in_the_middle_changes_nothing(system: Distributed, images: Path) -> None:
    for _ in range(2):
        system.start_worker(images)
    submission = system.submit(images)

    def kill_in_the_middle() -> None:
        wait_for(lambda: submission.progress().done >= 5)
        system.workers[0].kill()

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    results = submission.wait(timeout_s=90).results()
    killer.join()

    assert [result.state for result in results] == ["done"] * 40
    assert scores(results) == pytest.approx(scores_without_any_server(images), abs=1e-9)
    # Any web process shows what the engine's process counts.
    wait_for(lambda: counted(system, "haste_results_total", key="tier", site="default", state="done") == 40)


def test_a_folder_that_was_submitted_is_not_submitted_again(system: Distributed, images: Path) -> None:
    system.start_worker(images)
    first = system.submit(images).wait(timeout_s=60).results()
    tifffile.imwrite(images / "well0" / "new.tif", np.eye(64, dtype="u2"))

    second = system.submit(images).wait(timeout_s=60).results()

    assert len(first) == 40
    assert {result.job_id for result in first} < {result.job_id for result in second}
    assert set(scores(second)) - set(scores(first)) == {"well0/new.tif"}


def test_real_images_score_as_their_reference(system: Distributed, shared_dir: Path) -> None:
    images = shared_dir / "data" / "images"
    for _ in range(2):
        system.start_worker(images)

    results = system.submit(images).wait(timeout_s=120).results()

    with (images / "index.csv").open(newline="") as table:
        reference = {row["file"]: float(row["plls_reference_f64"]) for row in csv.DictReader(table)}
    assert scores(results) == pytest.approx(reference, abs=1e-5)
    assert {result.state for result in results} == {"done"}

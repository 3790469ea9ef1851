"""Other policies beside a running experiment: in the end each object is once where the last one wants it."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.haste_command import haste
from tests.e2e.moving_plate import STREAM, Guard, Plate
from tests.e2e.server_process import PROC, ServerProcess
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

EVERY_S = 0.04  # as a fast microscope


def split_at(border: float, below: str, above: str) -> dict[str, Any]:
    intervals = [{"lo": 0, "hi": border, "tier": below}, {"lo": border, "hi": 1, "tier": above}]
    return {"intervals": intervals, "undefined": below, "move": True}


def score_of(number: int) -> float:
    return number * 7 % 20 / 20


class Microscope(threading.Thread):
    """Submits images at a steady rate; one that no server takes, again."""

    def __init__(self, plate: Plate, server: Callable[[], ServerProcess], count: int) -> None:
        super().__init__(daemon=True)
        self._plate, self._server, self._count = plate, server, count
        self.jobs: dict[str, int] = {}

    def run(self) -> None:
        began = time.monotonic()
        for number in range(self._count):
            time.sleep(max(0.0, began + number * EVERY_S - time.monotonic()))
            name = f"{number:04}.tif"
            self._plate.write(name)
            while name not in self.jobs:
                try:
                    self.jobs[name] = self._plate.send(self._server(), name, score=score_of(number))
                except (requests.RequestException, AssertionError):  # it was killed
                    time.sleep(0.1)

    def wait_for(self, count: int) -> None:
        wait_for(lambda: len(self.jobs) >= count)


def test_policies_that_change_while_images_come_lose_and_double_nothing(tmp_path: Path) -> None:
    plate = Plate(tmp_path, first=split_at(0.5, "A", "B"), mode="observe")
    with plate.server() as server:
        microscope = Microscope(plate, lambda: server, count=90)
        microscope.start()
        microscope.wait_for(30)
        wait_for(lambda: progress(server)["done"] >= 10)  # decided by the first policy
        change(server, "policy", {"policy": split_at(0.3, "B", "A")})
        change(server, "mode", {"mode": "enforce"})
        microscope.wait_for(60)
        with Guard(plate, list(microscope.jobs)) as guard:
            change(server, "policy", {"policy": split_at(0.6, "A", "B")})
            microscope.join()
            wait_for(lambda: is_settled(server, 90))
        check(plate, server, microscope, border=0.6)
    assert guard.missed == []


@pytest.mark.slow
def test_nor_if_the_server_is_killed_again_and_again_meanwhile(tmp_path: Path) -> None:
    plate = Plate(tmp_path, first=split_at(0.5, "A", "B"))
    servers: list[ServerProcess] = []
    microscope = Microscope(plate, lambda: servers[-1], count=400)
    borders = [0.3, 0.7, 0.2, 0.8, 0.6]
    for border in borders:
        with plate.server() as server:
            servers.append(server)
            if len(servers) == 1:
                microscope.start()
            microscope.wait_for(70 * len(servers))
            change(server, "policy", {"policy": split_at(border, "A", "B")})
            time.sleep(0.5 * len(servers))
            server.kill_all()
    with plate.server() as server:
        servers.append(server)
        microscope.join()
        wait_for(lambda: is_settled(server, 400))
        check(plate, server, microscope, border=borders[-1])


def change(server: ServerProcess, what: str, body: dict[str, Any]) -> None:
    answer = server.call("POST", f"/HASTE/stream/{STREAM}/{what}", json=body)
    assert answer.ok, answer.text


def progress(server: ServerProcess) -> dict[str, int]:
    return dict(server.call("GET", f"/HASTE/stream/{STREAM}").json()["progress"])


def is_settled(server: ServerProcess, count: int) -> bool:
    now = progress(server)
    assert now["failed"] == 0
    return now["done"] == count and not now["to_redecide"] + now["to_move"] + now["open"]


def check(plate: Plate, server: ServerProcess, microscope: Microscope, *, border: float) -> None:
    for number, (name, job_id) in enumerate(microscope.jobs.items()):
        tier = "A" if score_of(number) < border else "B"
        path = plate.folder / "tiers" / tier / STREAM / name
        assert plate.found(name) == [path]
        job = server.job(job_id)
        assert (job["state"], job["place"]["url"], job["response"]["tier"]["tier"]) == (
            200,
            path.as_uri(),
            tier,
        )
    assert plate.other_files() == []
    told = haste("verify", STREAM, "--json", url=server.url, roots={})
    assert told.returncode == 0, told.stdout + told.stderr
    verdict = json.loads(told.stdout)
    assert (verdict["decisions"] > len(microscope.jobs), verdict["not_verified"]) == (True, {})

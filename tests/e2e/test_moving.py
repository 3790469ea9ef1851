"""Objects that move on a whole server whose workers are killed: each is always there, and once in the end."""

import itertools
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.haste_command import haste
from tests.e2e.moving_plate import STREAM, Guard, Plate
from tests.e2e.server_process import PROC, ServerProcess
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

MOMENTS = ("copied", "set aside", "removed")


def policy(tier: str) -> dict[str, Any]:
    return {"intervals": [{"lo": 0, "hi": 1, "tier": tier}], "undefined": tier, "move": True}


def test_workers_that_die_in_any_half_lose_and_double_nothing(tmp_path: Path) -> None:
    plate = Plate(tmp_path, first=policy("A"))
    names = [f"{moment}.tif" for moment in MOMENTS]
    with plate.server() as server:
        jobs = [plate.submit(server, name, dies=moment) for name, moment in zip(names, MOMENTS, strict=True)]
        with Guard(plate, names) as guard:
            ended = [server.wait_for_job(job_id) for job_id in jobs]
        told = haste("recall", str(jobs[0]), "--tier", "B", "--json", url=server.url, roots={})
        assert json.loads(told.stdout)["tier"] == "B", told.stderr
        wait_for(lambda: _is_alone(plate, names[0], "B"))
    assert [job["state"] for job in ended] == [200] * len(MOMENTS), ended
    assert [job["place"]["moved"] for job in ended] == [True] * len(MOMENTS)
    for name, job in zip(names, ended, strict=True):
        assert (tmp_path / "marks" / name).exists(), "it died"
        assert job["tasks"]["Task"]["attempts"] >= 3
        assert _is_alone(plate, name, "B" if name == names[0] else "A")
        assert job["response"]["tier"]["removed"] == (tmp_path / "originals" / name).as_uri()
    assert guard.rounds > 0
    assert guard.missed == []
    assert plate.other_files() == []


def test_streams_that_share_originals_have_a_copy_each_and_who_comes_late_is_told_where(
    tmp_path: Path,
) -> None:
    plate = Plate(tmp_path, first=policy("A"))
    names = [f"{number:03}.tif" for number in range(8)]
    for name in names:
        plate.write(name)
    with plate.server() as server:
        second = {"stream_id": "plate7-again", "pipeline": "mover", "mode": "enforce"}
        assert server.call("POST", "/HASTE/stream/", json=second).status_code == 201
        # Those of the first are done with their files before those of the second begin.
        specs = [plate.spec(name, STREAM) | {"priority": 9.0} for name in names]
        specs += [plate.spec(name, "plate7-again") for name in names]
        answer = server.call("POST", "/HASTE/jobs/", json={"jobs": specs}).json()
        jobs = [server.wait_for_job(result["job_id"]) for result in answer["results"]]
        third = {**second, "stream_id": "late"}
        assert server.call("POST", "/HASTE/stream/", json=third).status_code == 201
        late = server.wait_for_job(plate.send(server, names[0], "late"))
    assert [job["state"] for job in jobs] == [200] * 16
    places = [tmp_path / "tiers" / "A" / job["stream_id"] / job["source_id"] for job in jobs]
    assert [job["place"]["url"] for job in jobs] == [path.as_uri() for path in places]
    assert [path.read_bytes() for path in places] == [path.name.encode() * 1000 for path in places]
    assert list((tmp_path / "originals").iterdir()) == []
    told = late["tasks"]["Task"]
    assert (told["task_state"], told["attempts"]) == (404, 1)
    assert any(f"has moved it to {path.as_uri()}" in told["task_msg"] for path in places[::8])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workers_and_servers_that_are_killed_at_random_lose_and_double_nothing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    plate = Plate(tmp_path, first=policy("A"))
    names = [f"{number:03}.tif" for number in range(100)]
    with plate.server() as server:
        jobs = [plate.submit(server, name) for name in names]
        with Guard(plate, names) as guard:
            for tier in itertools.islice(itertools.cycle("BA"), 6):
                until = time.monotonic() + 6
                while time.monotonic() < until:
                    time.sleep(chance.uniform(0.05, 1.0))
                    program = "haste_workers" if chance.random() < 0.8 else "haste_server"
                    victims = [pid for pid in server.pids(program) if pid != server.process.pid]
                    if victims:
                        os.kill(chance.choice(victims), signal.SIGKILL)
                wait_for(lambda tier=tier: _set_policy(server, tier))
            wait_for(lambda: all(_is_alone(plate, name, "A") for name in names))
            states = [server.wait_for_job(job_id)["state"] for job_id in jobs]
    assert states == [200] * len(names)
    assert guard.missed == []
    assert plate.other_files() == []


def _set_policy(server: ServerProcess, tier: str) -> bool:
    try:
        answer = server.call("POST", f"/HASTE/stream/{STREAM}/policy", json={"policy": policy(tier)})
    except requests.RequestException:
        return False  # it is being restarted
    return answer.status_code == 200


def _is_alone(plate: Plate, name: str, tier: str) -> bool:
    return plate.found(name) == [plate.folder / "tiers" / tier / STREAM / name]

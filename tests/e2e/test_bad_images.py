"""Files that are no images, as jobs of a running server: each ends at once with a reason, and all goes on."""

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server_process import PROC, ServerProcess, command_of, parent_of, running_server
from tests.unit.imaging.bad_files import REFUSED, UNDEFINED, VALUE, write_bad_files

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc for the memory of processes")

MOST_BYTES, MOST_S = 300_000_000, 2.0

OF_CHOICE = {
    "05_png_named.tif": VALUE,
    "06_tif_named.png": VALUE,
    "09_all_nan_f32.tif": UNDEFINED,
    "10_one_nan_f32.tif": UNDEFINED,
    "11_one_inf_f32.tif": UNDEFINED,
    "17_bomb_deflate.tif": REFUSED,
    "18_bomb.png": REFUSED,
    "19_ifd_loop.tif": REFUSED,
    "26_rgb_u8.tif": VALUE,
    "27_rgb_u16.tif": VALUE,
    "28_zstack_u16.tif": VALUE,
    "34_half_constant.tif": VALUE,
    "35_palette.png": VALUE,
    "36_cmyk.jpg": VALUE,
}
"""Of the shared files, those whose end is this project's choice; docs/images.md and docs/features.md tell."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a server with one worker process, which has to come through all of it."""
    folder = tmp_path_factory.mktemp("server")
    root = f"data={folder}"
    with running_server(folder / "data", "--root", root, environment={"HASTE_WORKERS": "1"}) as started:
        started.wait_until_ready()
        yield started


@pytest.fixture(params=["generated", pytest.param("shared", marks=pytest.mark.slow)])
def bad_files(request: pytest.FixtureRequest, server: ServerProcess) -> tuple[Path, dict[str, str]]:
    """Return a folder of files, and what shall become of each."""
    folder = server.data_dir.parent / request.param
    folder.mkdir()
    if request.param == "generated":
        return folder, write_bad_files(folder)
    program = request.getfixturevalue("shared_dir") / "data" / "bad_images.py"
    subprocess.run([sys.executable, program, folder], check=True, capture_output=True, timeout=120)
    with (folder / "manifest.csv").open(newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    verdicts = {"error": REFUSED, "value": VALUE, "zero": UNDEFINED}
    return folder, {name: OF_CHOICE.get(name) or verdicts[said] for name, said in expected.items()}


def children(server: ServerProcess) -> list[int]:
    """List the processes in which tasks run; each is the first of a session of its own."""
    ours = set(server.pids())
    of_ours = [int(folder.name) for folder in PROC.glob("[0-9]*") if parent_of(int(folder.name)) in ours]
    return [pid for pid in of_ours if command_of(pid) == "haste-child"]


def peak_bytes(pid: int) -> int:
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def ended_task(server: ServerProcess, job_id: int) -> dict[str, Any]:
    """Wait for a job of one task; it ran once and at once."""
    job = server.wait_for_job(job_id)
    task_id = job["tasks"]["Task"]["task_id"]
    task = dict(server.call("GET", f"/HASTE/task/{task_id}").json()["Task"])
    (attempt,) = task["history"]
    assert attempt["outcome"] == "ended", task
    took_s = attempt["ended_at"] - attempt["started_at"]
    assert took_s < MOST_S, (job["source_id"], took_s)
    return {**task, "response": job["response"].get(task["task_key"])}


def verdict(task: dict[str, Any]) -> str:
    """Tell what became of an object; whatever it is, it says why."""
    if task["task_state"] != 200:
        assert task["task_state"] in (404, 502), task
        assert re.match("not a readable image: |there is no file |.* is a folder", task["task_msg"]), task
        return REFUSED
    response = task["response"]
    if response["plls"] is None:
        assert response["undefined"]
        return UNDEFINED
    assert -6 < response["plls"] < 2
    return VALUE


def test_each_ends_at_once_with_a_reason_and_the_worker_goes_on(
    server: ServerProcess, bad_files: tuple[Path, dict[str, str]]
) -> None:
    folder, expected = bad_files
    before = children(server)
    scored = {name: server.submit(folder / name, "focus-score") for name in expected}
    packed = {name: server.submit(folder / name, "preprocess", stream_id="packed") for name in expected}
    verdicts = {name: verdict(ended_task(server, job_id)) for name, job_id in scored.items()}
    assert verdicts == expected
    for name, job_id in packed.items():
        state = ended_task(server, job_id)["task_state"]
        # It does not decode what it cannot make smaller.
        assert state == 200 or (state in (404, 502) and expected[name] == REFUSED), name
    assert children(server) == before
    assert len(before) == 1
    assert peak_bytes(before[0]) < MOST_BYTES

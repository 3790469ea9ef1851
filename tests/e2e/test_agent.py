"""The agent: a folder's images at the microscope become jobs of the lab's server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from haste_workers.imaging.read import read_image
from tests.e2e.agent_process import STREAM, Agent, events, jobs_at, running_central
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_central(tmp_path_factory.mktemp("central") / "data") as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, central: ServerProcess) -> Agent:
    return Agent(tmp_path / "acquisition", tmp_path / "agent", central.url)


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_images_arrive_with_their_pixels_and_originals_stay(agent: Agent, central: ServerProcess) -> None:
    write_image(agent.folder / "A01.tif", seed=1)
    write_image(agent.folder / "day2/A01.tif", seed=2)
    (agent.folder / "empty.tif").touch()
    (agent.folder / "notes.txt").write_text("not an image")
    before = hashes(agent.folder)

    first = agent.run("--once", "--json", "--include", "tif")

    assert first.returncode == 1, first.stderr  # the empty file
    assert "empty.tif is not complete and not sent" in first.stderr
    uploaded = {event["source_id"]: event for event in events(first.stdout, "uploaded")}
    assert uploaded.keys() == {"A01.tif", "day2/A01.tif"}
    for source_id, event in uploaded.items():
        job = central.wait_for_job(event["job_id"])
        assert (job["state"], job["stream_id"], job["source_id"]) == (200, STREAM, source_id)
        assert isinstance(job["response"]["focus-score"]["plls"], float)
        edge = job["metadata"]["edge"]
        assert (edge["original_sha256"], edge["tag"]) == (before[source_id], "lab1")
        landed = next(central.data_dir.glob(f"landing/{STREAM}/??/{event['sha256']}.*"))
        assert landed.stat().st_size < event["original_bytes"] or edge.get("operator") is None
        assert np.array_equal(read_image(landed).pixels, read_image(agent.folder / source_id).pixels)
    assert hashes(agent.folder) == before

    (agent.folder / "empty.tif").unlink()
    write_image(agent.folder / "A01.tif", seed=3)
    again = agent.run("--once", "--json", "--include", "tif")

    assert again.returncode == 0, again.stderr
    assert [event["source_id"] for event in events(again.stdout, "uploaded")] == ["A01.tif"]
    assert sorted(job["source_id"] for job in jobs_at(central)) == ["A01.tif", "A01.tif", "day2/A01.tif"]

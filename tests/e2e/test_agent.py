"""The agent: a folder's images at the microscope become jobs of the lab's server."""

import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import requests
import tifffile
from typer.testing import CliRunner

from haste_apps.agent.cli import app
from haste_server.gateway.upload_records import read_record
from haste_workers.durable import sha256_of
from haste_workers.imaging.read import read_image
from tests.e2e.agent_process import STREAM, TOKEN, Agent, events, jobs_at, running_central
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, parent_of
from tests.services.tls import certified
from tests.unit.imaging.zarr_folders import noise
from tests.unit.imaging.zarr_folders import write_image as write_zarr
from tests.unit.workers.landing import running_landing
from tests.waiting import wait_for

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


def children_of(pid: int) -> list[int]:
    pids = [int(folder.name) for folder in PROC.glob("[0-9]*")]
    return [child for child in pids if parent_of(child) == pid]


def check_job(central: ServerProcess, agent: Agent, event: dict[str, Any]) -> None:
    """Check that an image became a job that is done, of the same pixels."""
    job = central.wait_for_job(event["job_id"])
    original = agent.folder / event["source_id"]
    assert (job["state"], job["stream_id"], job["source_id"]) == (200, STREAM, event["source_id"])
    assert isinstance(job["response"]["focus-score"]["plls"], float)
    edge = job["metadata"]["edge"]
    assert edge["original_sha256"] == hashlib.sha256(original.read_bytes()).hexdigest()
    assert (edge["tag"], edge.get("lossless", True)) == ("lab1", True)
    assert edge["original_path"] == str(original)
    assert job["timestamp"] == pytest.approx(original.stat().st_mtime)
    (landed,) = central.data_dir.glob(f"landing/{STREAM}/??/{event['sha256']}.*")
    assert np.array_equal(read_image(landed).pixels, read_image(original).pixels)


def check_folder(central: ServerProcess, agent: Agent, event: dict[str, Any]) -> None:
    """Check that a folder of OME-Zarr became a job that is done, with all its files."""
    job = central.wait_for_job(event["job_id"])
    sha256 = sha256_of(agent.folder / event["source_id"])
    assert (job["state"], job["source_version"], event["sha256"]) == (200, sha256, sha256), job
    assert isinstance(job["response"]["focus-score"]["plls"], float)
    (landed,) = central.data_dir.glob(f"landing/{STREAM}/??/{sha256}.zarr")
    assert sha256_of(landed) == sha256


def sidecars_at(central: ServerProcess, uploaded: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Read the sidecars of each image at the lab's server, by their names."""

    def read(url: str) -> tuple[str, str]:
        path = central.data_dir / "landing" / unquote(url.removeprefix("root://landing/"))
        return path.name, path.read_text()

    jobs = [central.wait_for_job(event["job_id"]) for event in uploaded]
    return {job["source_id"]: dict(map(read, job.get("sidecars", ()))) for job in jobs}


def test_images_arrive_with_their_pixels_while_the_folder_lives(
    agent: Agent, central: ServerProcess, tmp_path: Path
) -> None:
    write_image(agent.folder / "A01.tif", seed=1)
    write_image(agent.folder / "day2/A01.tif", seed=2)
    write_zarr(agent.folder / "B01.zarr", noise(64, 64), "yx")
    (agent.folder / "day2/A01.tif.mdoc").write_text("PixelSpacing = 1.35\n")
    (agent.folder / "day2/plate.HTD").write_text("all of this folder\n")
    (agent.folder / "empty.tif").touch()
    (agent.folder / "notes.txt").write_text("not an image")
    before, said = hashes(agent.folder), tmp_path / "said.txt"

    def uploaded(count: int) -> list[dict[str, Any]]:
        return wait_for(
            lambda: (found := events(said.read_text(), "uploaded"))[count - 1 :] and found, timeout_s=90
        )

    process = agent.start(said, "--json", "--include", "tif,zarr")
    try:
        first = uploaded(3)
        assert {event["source_id"] for event in first} == {"A01.tif", "day2/A01.tif", "B01.zarr"}
        for event in first:
            check = check_folder if event["source_id"].endswith("zarr") else check_job
            check(central, agent, event)
        assert sidecars_at(central, first) == {
            "A01.tif": {},
            "B01.zarr": {},
            "day2/A01.tif": {
                "A01.tif.mdoc": "PixelSpacing = 1.35\n",
                "plate.HTD": "all of this folder\n",
            },
        }
        assert hashes(agent.folder) == before
        (address,) = agent.data_dir.rglob("page.txt")
        page = requests.get(address.read_text().strip(), timeout=10)
        assert page.status_code == 200
        assert "acquisition_lab1" in page.text

        second_agent = agent.run()
        assert second_agent.returncode == 2
        assert "another haste-agent sends" in second_agent.stderr

        agent.folder.rename(tmp_path / "away")
        wait_for(lambda: "cannot be read now" in said.read_text())
        (tmp_path / "away").rename(agent.folder)
        write_image(agent.folder / "A01.tif", seed=3)
        changed = uploaded(4)[-1]
        check_job(central, agent, changed)
        assert changed["source_id"] == "A01.tif"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()
    named = sorted(job["source_id"] for job in jobs_at(central))
    assert named == ["A01.tif", "A01.tif", "B01.zarr", "day2/A01.tif"]
    assert "4 uploaded · 0 waiting · 1 incomplete" in said.read_text().splitlines()[-1]


@pytest.mark.slow  # its quick form is test_each_end_is_told_once; the rest is a restart, as after a kill
def test_its_own_server_is_started_again(agent: Agent, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    write_image(agent.folder / "A01.tif", seed=1)
    process = agent.start(said, "--json", "--stream", "restarted")
    try:
        wait_for(lambda: events(said.read_text(), "uploaded"))
        (own_server,) = children_of(process.pid)
        os.kill(own_server, signal.SIGKILL)
        wait_for(lambda: "Starting it again" in said.read_text())
        write_image(agent.folder / "A02.tif", seed=2)
        wait_for(lambda: len(events(said.read_text(), "uploaded")) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert [event["source_id"] for event in events(said.read_text(), "uploaded")] == ["A01.tif", "A02.tif"]


WELLS = {"A01": (1.0, 1.0), "B02": (2.0, 2.0)}


def write_noise(path: Path, seed: int) -> None:
    """Write an image that no codec makes smaller, of half a megabyte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.random.default_rng(seed).integers(0, 2**16, (512, 512), dtype=np.uint16))


def test_central_away_at_the_start_and_kills_of_both_in_mid_file_lose_nothing(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agent = Agent(tmp_path / "acquisition", tmp_path / "agent", f"127.0.0.1:{port}")
    said = tmp_path / "said.txt"
    for number, well in enumerate(WELLS):
        write_noise(agent.folder / f"{well}.tif", seed=number)
    (agent.folder / "A01.xml").write_text("<well/>")
    before = hashes(agent.folder)
    quickly = ("--json", "--operator", "none", "--transfers", "1", "--names", r"(?P<well>[A-H]\d\d)\.tif")
    process = agent.start(said, *quickly, "--limit", "150k")
    try:
        (trouble,) = wait_for(lambda: events(said.read_text(), "trouble"))
        assert "cannot be reached now" in trouble["message"]
        with running_central(tmp_path / "central", port=port) as central:
            uploads = central.data_dir / "landing/.uploads"
            (part,) = wait_for(
                lambda: [path for path in uploads.glob("*.part") if path.stat().st_size > 50_000]
            )
            central.kill_all()
            began, had_bytes = read_record(part.with_suffix(".upload")), part.stat().st_size
        with running_central(tmp_path / "central", port=port) as central:
            wait_for(lambda: part.stat().st_size > had_bytes + 20_000)
            os.kill(process.pid, signal.SIGKILL)
            assert part.stat().st_size < 500_000

            rest = agent.run(*quickly, "--once", "--delete-after-upload")

            assert rest.returncode == 0, rest.stderr
            jobs = jobs_at(central)
            assert sorted(job["source_id"] for job in jobs) == ["A01.tif", "B02.tif"]
            for job in jobs:
                done = central.wait_for_job(job["job_id"])
                assert done["state"] == 200, done
                assert (done["substream_id"], tuple(done["location"])) in WELLS.items()
                assert done["source_id"] == f"{done['metadata']['well']}.tif"
                assert done["metadata"]["edge"]["original_sha256"] == before[job["source_id"]]
            record = read_record(part.with_suffix(".upload"))
            assert record["began_at"] == began["began_at"]  # the same upload, gone on with
    finally:
        process.kill()
        process.wait()
    assert hashes(agent.folder).keys() == {"A01.xml"}  # a sidecar may belong to images that are still to come
    assert {event["source_id"] for event in events(rest.stdout, "deleted")} == {"A01.tif", "B02.tif"}


def said_at_the_start(*arguments: str, token: str | None = TOKEN) -> tuple[int, str]:
    """Run the agent in this process, as far as it comes without a server of its own."""
    environment = {"HASTE_AGENT_TOKEN": token}
    result = CliRunner(env=environment).invoke(app, list(arguments))
    return result.exit_code, result.output


def test_what_is_wrong_at_the_start_is_said_with_what_to_do(
    agent: Agent, central: ServerProcess, tmp_path: Path
) -> None:
    write_image(agent.folder / "A01.tif", seed=1)
    (agent.folder / "half.tif").write_bytes((agent.folder / "A01.tif").read_bytes()[:100])
    here = (str(agent.folder), "--data-dir", str(agent.data_dir))
    there = (*here, "--host", central.url, "--tag", "lab1")
    before = hashes(tmp_path)

    code, said = said_at_the_start(*there, "--dry-run")
    assert code == 0, said
    assert "A01.tif  33.0 kB" in said
    assert "half.tif  100 B  NOT COMPLETE" in said
    assert f"tag lab1 means its pipeline focus-tier, stream {STREAM}" in said

    original = ("--include", "tif", "--username", "haste", "--x-preprocessing-cores", "2", "--x-mode", "0")
    code, said = said_at_the_start(f"{here[0]}/", *there[1:], *original, "--dry-run")
    assert (code, "2 images" in said) == (0, True), said

    code, said = said_at_the_start(*there, token="a wrong token")
    assert (code, "does not accept this token" in said, "--token-file" in said) == (2, True, True), said
    code, said = said_at_the_start(*there, token=None)
    assert (code, "wants a token" in said) == (2, True), said
    code, said = said_at_the_start(*here, "--host", central.url, "--tag", "lab2")
    assert (code, "knows no tag 'lab2' (known: lab1)" in said, "agent_tags" in said) == (2, True, True), said
    code, said = said_at_the_start(str(tmp_path / "nowhere"), *there[1:])
    assert (code, "there is no folder" in said) == (2, True), said
    code, said = said_at_the_start(*there, "--delete-after-upload", "--operator", "floodfill")
    assert (code, "the originals have to stay" in said) == (2, True), said
    code, said = said_at_the_start(*there, "--operator", "polish")
    assert (code, "polish" in said) == (2, True), said
    code, said = said_at_the_start(*there, "--dry-run", "--password", "x" * 20, token=None)
    assert (code, "other users of this computer can see a password" in said) == (2, True), said
    code, said = said_at_the_start(*here, "--host", "127.0.0.1:9", "--tag", "lab1", "--dry-run")
    assert (code, "does not answer" in said) == (5, True), said

    certificate, context = certified(tmp_path)
    with running_landing(tmp_path / "landing", tls=context) as secured:
        there = (*here, "--host", secured.url, "--tag", "lab1")
        code, said = said_at_the_start(*there)
        assert (code, "self-signed certificate" in said, "--ca" in said) == (2, True, True), said
        code, said = said_at_the_start(*there, "--ca", str(certificate), token="landing's other token")
        assert (code, "does not accept this token" in said) == (2, True), said
    assert (
        hashes(agent.folder).items()
        <= {name.removeprefix("acquisition/"): digest for name, digest in before.items()}.items()
    )

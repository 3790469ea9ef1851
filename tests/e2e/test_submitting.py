"""The client and the `haste` command with a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_client import ConflictError, HasteClient, ImageView, InvalidError, Known, NotFoundError
from tests.e2e.server_process import PROC, ServerProcess, running_server, wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    smooth = generator.normal(1000, 300, (16, 16)).repeat(8, axis=0).repeat(8, axis=1)
    tifffile.imwrite(path, (smooth + generator.normal(0, 20, smooth.shape)).clip(0, 65535).astype("u2"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nas")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server") / "data", "--root", f"nas={root}") as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def client(server: ServerProcess, root: Path) -> Iterator[HasteClient]:
    with HasteClient(server.url, roots={"nas": root}) as made:
        yield made


@pytest.fixture
def plate(root: Path, request: pytest.FixtureRequest) -> Path:
    """Return a folder of six images that the server may read."""
    folder = root / request.node.name.replace("[", "_").rstrip("]")
    for number in range(6):
        write_image(folder / f"A0{number % 2}" / f"site{number}.tif", seed=number)
    return folder


def haste(*arguments: str, url: str, roots: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haste_apps.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment(url, roots),
    )


def environment(url: str, roots: dict[str, Path]) -> dict[str, str]:
    named = {name: str(path) for name, path in roots.items()}
    return {**os.environ, "HASTE_SERVER_URL": url, "HASTE_ROOTS": json.dumps(named)}


def test_a_folder_is_submitted_once_and_changes_are_submitted_again(client: HasteClient, plate: Path) -> None:
    first = client.submit_directory(plate).wait(timeout_s=60)
    assert [result.state for result in first.results()] == ["done"] * 6
    assert first.new_jobs == 6
    again = client.submit_directory(plate).wait(timeout_s=10)
    assert again.new_jobs == 0
    assert again.results() == first.results()
    write_image(plate / "A00/site0.tif", seed=99)
    write_image(plate / "A02/site9.tif", seed=9)
    third = client.submit_directory(plate).wait(timeout_s=60)
    assert third.new_jobs == 2
    assert len(third.results()) == 7
    assert third.job_ids["A00/site0.tif"] != first.job_ids["A00/site0.tif"]
    assert third.job_ids["A01/site1.tif"] == first.job_ids["A01/site1.tif"]
    assert sorted(job.index or 0 for job in client.jobs(stream_id=plate.name)) == list(range(8))


def test_sources_are_named_by_their_root(client: HasteClient, plate: Path) -> None:
    submission = client.submit_directory(plate)
    job = client.job(submission.job_ids["A01/site3.tif"])
    assert job.source_url == f"root://nas/{plate.name}/A01/site3.tif"
    assert job.timestamp == pytest.approx((plate / "A01/site3.tif").stat().st_mtime)
    assert list(client.search("A01/site3.tif"))[-1] == job.job_id


def test_one_bad_item_does_not_stop_the_others(client: HasteClient, plate: Path) -> None:
    (plate / "A00" / f"{'x' * 250}.tif").write_bytes(b"")
    (plate / "A00" / "broken.tif").write_bytes(b"II*\0 no image")
    submission = client.submit_directory(plate).wait(timeout_s=60)
    states = {result.source_id: result.state for result in submission.results()}
    assert states.pop("A00/broken.tif") == "failed"
    assert list(states.values()) == ["done"] * 6
    (problem,) = submission.problems
    assert problem.where.endswith("xx.tif")
    assert "255" in problem.what


def test_a_priority_function_ranks_waiting_images_by_what_it_learns(client: HasteClient, plate: Path) -> None:
    asked: list[tuple[int, int]] = []

    def priority(image: ImageView, known: Known) -> float:
        asked.append((len(known.images), len(known.results)))
        return 100.0 * len(known.results) + image.index

    submission = client.submit_directory(plate, priority=priority).wait(timeout_s=60)
    assert asked[0] == (6, 0)
    assert {result.state for result in submission.results()} == {"done"}


def test_changed_priorities_reach_the_server(client: HasteClient, plate: Path) -> None:
    # Nobody works at this site, so the jobs stay open and can be looked at.
    wanted = {"value": 1.0}
    submission = client.submit_directory(
        plate, site="nowhere", priority=lambda _image, _known: wanted["value"]
    )
    assert {job.priority for job in client.jobs(stream_id=plate.name)} == {1.0}
    wanted["value"] = 7.0
    wait_for(
        lambda: submission.refresh() or {job.priority for job in client.jobs(stream_id=plate.name)} == {7.0}
    )
    with pytest.raises(TimeoutError, match="6 of 6 jobs are still open"):
        submission.wait(timeout_s=0.5)
    waiting = [queue.message for queue in client.workers().queues if queue.site == "nowhere"]
    assert any("no worker" in message for message in waiting)


def test_a_stream_that_differs_is_a_conflict(client: HasteClient, plate: Path) -> None:
    client.submit_directory(plate)
    with pytest.raises(ConflictError):
        client.submit_directory(plate, mode="enforce")
    with pytest.raises(InvalidError, match="focus-tier"):
        client.submit_directory(plate, stream_id="another", pipeline="no-such-pipeline")
    with pytest.raises(NotFoundError):
        client.job(10**9)


def test_streams_pipelines_and_readiness_answer(client: HasteClient, plate: Path) -> None:
    client.submit_directory(plate).wait(timeout_s=60)
    assert {pipeline.name for pipeline in client.pipelines()} >= {"focus-tier", "edge", "full"}
    assert plate.name in {stream.stream_id for stream in client.streams()}
    stream = client.stream(plate.name)
    assert (stream.mode, stream.progress.done) == ("observe", 6)
    assert sum(tier.count for tier in stream.tiers.values()) == 6
    assert client.set_mode(plate.name, "enforce").mode == "enforce"
    assert client.check_ready().ready
    place = client.upload_file(plate.name, "A00/up.tif", plate / "A00/site0.tif")
    assert place.size_bytes == (plate / "A00/site0.tif").stat().st_size


def test_tasks_run_again_when_asked(client: HasteClient, plate: Path) -> None:
    submission = client.submit_directory(plate).wait(timeout_s=60)
    job = client.job(submission.job_ids["A00/site0.tif"])
    task_id = job.task_list()[0].task_id
    with pytest.raises(ConflictError):
        client.retry_job(job.job_id)
    client.retry_task(task_id, force=True)
    wait_for(lambda: client.task(task_id).attempts == 2 and client.job(job.job_id).done)
    assert client.reset_task(task_id).task_state == 201
    assert job.job_id in set(client.jobs_in_progress())
    client.retry_task(task_id)
    wait_for(lambda: client.task(task_id).attempts == 3 and client.job(job.job_id).done)
    client.delete_job(job.job_id)
    with pytest.raises(NotFoundError):
        client.job(job.job_id)


def test_priorities_change_by_job_and_by_index(client: HasteClient, plate: Path) -> None:
    submission = client.submit_directory(plate, site="nowhere")
    job_id = submission.job_ids["A00/site0.tif"]
    answer = client.set_priorities({job_id: 3.0, 10**9: 1.0})
    assert (answer.changed, answer.unknown) == (1, (10**9,))
    assert client.set_priorities_by_index(plate.name, {5: 4.0}).changed == 1
    assert sorted(job.priority for job in client.jobs(stream_id=plate.name)) == [1.0] * 4 + [3.0, 4.0]


def test_the_command_submits_waits_and_answers_as_json(
    server: ServerProcess, root: Path, plate: Path
) -> None:
    run = haste("submit", str(plate), "--wait", "--json", url=server.url, roots={"nas": root})
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert (summary["jobs"], summary["done"], summary["failed"]) == (6, 6, 0)
    listed = haste("jobs", "--stream", plate.name, "--state", "done", "--json", url=server.url, roots={})
    jobs = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(jobs) == 6
    shown = haste("job", str(jobs[0]["job_id"]), url=server.url, roots={})
    assert jobs[0]["source_id"] in shown.stdout
    assert haste("retry", str(jobs[0]["job_id"]), url=server.url, roots={}).returncode == 2


def test_the_command_tells_failed_images(server: ServerProcess, root: Path, plate: Path) -> None:
    (plate / "broken.tif").write_bytes(b"II*\0 no image")
    run = haste("submit", str(plate), "--wait", url=server.url, roots={"nas": root})
    assert run.returncode == 1
    assert "broken.tif: focus-score: not a readable image" in run.stderr
    assert "tier" in run.stdout


def test_watching_goes_on_where_it_was_after_restarts_of_both(tmp_path: Path) -> None:
    folder, data_dir = tmp_path / "plate", tmp_path / "data"
    write_image(folder / "before.tif")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    arguments = ["watch", str(folder), "--stream", "s", "--settle", "0.5"]
    with running_server(data_dir, "--root", f"nas={folder}", port=port) as server:
        server.wait_until_ready()
        watcher = subprocess.Popen(
            [sys.executable, "-m", "haste_apps.cli", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(url, {"nas": folder}),
        )
        with HasteClient(url) as client:
            wait_for(lambda: len(list(client.jobs(stream_id="s", state="done"))) == 1)
        server.stop()
    write_image(folder / "sub/meanwhile.tif", seed=1)
    time.sleep(1.5)
    with running_server(data_dir, "--root", f"nas={folder}", port=port) as server, HasteClient(url) as client:
        server.wait_until_ready()
        wait_for(lambda: len(list(client.jobs(stream_id="s", state="done"))) == 2)
        watcher.send_signal(signal.SIGTERM)
        _, said = watcher.communicate(timeout=30)
        assert watcher.returncode == 0, said
        write_image(folder / "after.tif", seed=2)
        once = haste(*arguments, "--once", "--json", url=url, roots={"nas": folder})
        assert once.returncode == 0
        assert [json.loads(line)["source_id"] for line in once.stdout.splitlines()] == ["after.tif"]


def test_waiting_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    folder, data_dir = tmp_path / "plate", tmp_path / "data"
    for number in range(4):
        write_image(folder / f"{number}.tif", seed=number)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with HasteClient(f"http://127.0.0.1:{port}", roots={"nas": folder}, retry_for_s=0.5) as client:
        with running_server(data_dir, "--root", f"nas={folder}", port=port) as server:
            server.wait_until_ready()
            submission = client.submit_directory(folder)
            server.process.kill()
        with running_server(data_dir, "--root", f"nas={folder}", port=port):
            results = submission.wait(timeout_s=60).results()
    assert [result.state for result in results] == ["done"] * 4

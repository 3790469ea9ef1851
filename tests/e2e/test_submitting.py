"""The client and the command that submit a folder, with a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from haste_client import ConflictError, HasteClient, ImageView, InvalidError, Known, NotFoundError
from haste_client.directory import scan
from tests.e2e.haste_command import environment, haste
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")


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


def test_a_submitted_folder_completes_its_stream_if_asked(client: HasteClient, plate: Path) -> None:
    first = client.submit_directory(plate, site="nowhere", complete=True)
    completed_at = client.stream(plate.name).completed_at
    assert completed_at is not None
    assert not first.reopened
    assert not client.submit_directory(plate, site="nowhere").reopened, "nothing is new"
    assert client.stream(plate.name).completed_at == completed_at
    write_image(plate / "late.tif", seed=9)
    assert client.submit_directory(plate, site="nowhere").reopened
    assert client.stream(plate.name).completed_at is None


def test_sources_are_named_by_their_root(client: HasteClient, plate: Path) -> None:
    submission = client.submit_directory(plate)
    job = client.job(submission.job_ids["A01/site3.tif"])
    assert job.source_url == f"root://nas/{plate.name}/A01/site3.tif"
    assert job.timestamp == pytest.approx((plate / "A01/site3.tif").stat().st_mtime)
    assert list(client.search("A01/site3.tif"))[-1] == job.job_id


def test_one_bad_item_does_not_stop_the_others(client: HasteClient, plate: Path) -> None:
    (plate / "A00" / f"{'x' * 250}.tif").write_bytes(b"")
    (plate / "A00" / "broken.tif").write_bytes(b"II*\0 no image")
    submission = client.submit_directory(plate, complete=True).wait(timeout_s=60)
    states = {result.source_id: result.state for result in submission.results()}
    assert states.pop("A00/broken.tif") == "failed"
    assert list(states.values()) == ["done"] * 6
    (problem,) = submission.problems
    assert problem.where.endswith("xx.tif")
    assert "255" in problem.what
    assert client.stream(plate.name).completed_at is None, "an image is missing"


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


def test_a_priority_function_is_asked_for_what_an_earlier_run_submitted(
    client: HasteClient, plate: Path
) -> None:
    client.submit_directory(plate, site="nowhere", index_from=10)
    write_image(plate / "late.tif", seed=9)

    def priority(image: ImageView, known: Known) -> float:
        return 100.0 * len(known.images) + image.index

    submission = client.submit_directory(plate, site="nowhere", index_from=16, priority=priority)
    expected = [700.0 + index for index in range(10, 17)]
    wait_for(
        lambda: (
            submission.refresh()
            or sorted(job.priority for job in client.jobs(stream_id=plate.name)) == expected
        )
    )


def test_folders_of_one_name_do_not_get_each_others_results(
    server: ServerProcess, client: HasteClient, root: Path, plate: Path
) -> None:
    twin = root / "exp2" / plate.name
    for number in range(2):
        write_image(twin / f"A00/site{2 * number}.tif", seed=50 + number)
        original = (plate / f"A00/site{2 * number}.tif").stat()
        os.utime(twin / f"A00/site{2 * number}.tif", ns=(original.st_mtime_ns, original.st_mtime_ns))
        assert (twin / f"A00/site{2 * number}.tif").stat().st_size == original.st_size
    first = client.submit_directory(plate).wait(timeout_s=60)
    assert first.namesakes == []
    run = haste("submit", str(twin), "--wait", "--json", url=server.url, roots={"nas": root})
    assert run.returncode == 0, run.stderr
    assert "another folder" in run.stderr
    assert "--stream" in run.stderr
    scores = {image["source_id"]: image["plls"] for image in json.loads(run.stdout)["images"]}
    assert len(scores) == 2
    for result in first.results():
        assert scores.get(result.source_id) != result.plls
    again = client.submit_directory(plate)
    assert (again.new_jobs, again.namesakes) == (0, [])


def test_a_job_that_is_deleted_is_waited_for_no_longer(
    client: HasteClient, plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_client.following._SWEEP_AFTER_S", 0.5)
    submission = client.submit_directory(plate, site="nowhere")
    gone = ["A00/site0.tif", "A01/site1.tif"]
    for name in gone:
        client.delete_job(submission.job_ids[name])
    with pytest.raises(TimeoutError, match="4 of 6 jobs are still open"):
        submission.wait(timeout_s=3)
    failed = {result.source_id: result for result in submission.results() if result.state == "failed"}
    assert set(failed) == set(gone)
    assert failed[gone[0]].code == 410
    assert "deleted at the server" in failed[gone[0]].message
    # Whoever asks for the folder again gets jobs for these images again.
    assert client.submit_directory(plate, site="nowhere").new_jobs == 2
    submission.add(scan(plate).files)
    assert submission.progress().open == 6


def test_the_command_tells_what_an_open_job_waits_for(
    server: ServerProcess, client: HasteClient, root: Path, plate: Path
) -> None:
    submission = client.submit_directory(plate, site="nowhere")
    said = "waiting: no worker for key 'focus-score' at site 'nowhere'"
    listed = haste("jobs", "--stream", plate.name, url=server.url, roots={})
    shown = haste("job", str(submission.job_ids["A00/site0.tif"]), url=server.url, roots={})
    for run in (listed, shown):
        assert run.returncode == 0, run.stderr
        assert said in run.stdout


def test_a_waiting_command_says_once_who_is_missing_and_ends_at_ctrl_c(
    server: ServerProcess, root: Path, plate: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    arguments = ["submit", str(plate), "--site", "nowhere", "--wait"]
    with said.open("w") as stream:
        command = subprocess.Popen(
            [sys.executable, "-m", "haste_apps.cli", *arguments],
            stderr=stream,
            env=environment(server.url, {"nas": root}),
        )
    try:
        wait_for(lambda: "no worker for key 'focus-score' at site 'nowhere'" in said.read_text())
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 130
    finally:
        command.kill()
        command.wait()
    assert said.read_text().count("'focus-score' at site 'nowhere'") == 1
    assert said.read_text().splitlines()[-1] == "haste: interrupted"


def test_jobs_that_are_held_are_told_with_what_to_do(
    server: ServerProcess, client: HasteClient, plate: Path
) -> None:
    submission = client.submit_directory(plate, site="nowhere")
    held, said = ["A00/site0.tif", "A01/site1.tif"], list[str]()
    for name in held:
        (first, *_) = client.job(submission.job_ids[name]).task_list()
        assert client.reset_task(first.task_id).task_state == 201
    with pytest.raises(TimeoutError, match="6 of 6 jobs are still open"):
        submission.wait(timeout_s=5, tell=said.append)
    (told,) = [message for message in said if "held" in message]
    assert told.startswith("A00/site0.tif: its job was reset")
    assert f"haste retry {submission.job_ids[held[0]]}." in told
    stuck = list(client.jobs(stream_id=plate.name, state=205))
    assert [(job.source_id, job.state) for job in stuck] == [(name, 201) for name in held]
    assert "it waits until it or its job is retried" in stuck[0].task_list()[0].task_msg
    _, _, remedy = told.partition("haste retry --stream")
    again = haste("retry", "--stream", *remedy.split(), url=server.url, roots={})
    assert again.returncode == 0, again.stderr
    assert list(client.jobs(stream_id=plate.name, state=205)) == []


def test_the_command_names_the_options_that_settle_a_conflict(
    server: ServerProcess, client: HasteClient, root: Path, plate: Path
) -> None:
    client.submit_directory(plate)
    run = haste("submit", str(plate), "--mode", "enforce", url=server.url, roots={"nas": root})
    assert run.returncode == 2
    (said,) = run.stderr.splitlines()
    assert f"the stream '{plate.name}' is there already" in said
    assert "--stream" in said


def test_a_folder_is_submitted_again_to_a_stream_that_enforces_by_now(
    server: ServerProcess, client: HasteClient, root: Path, plate: Path
) -> None:
    stream_id = client.submit_directory(plate).stream_id
    client.set_mode(stream_id, "enforce")
    run = haste("submit", str(plate), url=server.url, roots={"nas": root})
    assert run.returncode == 0, run.stderr
    assert "0 new images, 6 known already" in run.stderr
    assert client.stream(stream_id).mode == "enforce"


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

"""A plate of five channels at a real server: sets are decided as one; sidecars and containers go along."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from haste_client import HasteClient
from haste_client.answers import JobAnswer
from tests.e2e.haste_command import haste
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.unit.imaging.zarr_folders import noise
from tests.unit.imaging.zarr_folders import write_image as write_container
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")

CHANNELS = range(1, 6)
PIPELINE: dict[str, Any] = {
    "name": "sets",
    "description": "Sites of five channels, decided about by the first one",
    "tasks": {"taskSequential": ["focus-score", "tier"]},
    "interestingness": {
        "function": "expression",
        "features_from": "focus-score",
        "parameters": {"expression": "(plls + 3) / 3", "clip": True},
    },
    "policy": {
        "intervals": [{"lo": 0, "hi": 0.5, "tier": "tierB"}, {"lo": 0.5, "hi": 1, "tier": "tierA"}],
        "undefined": "tierD",
    },
    "image_set": {
        "group_by": ["plate", "well", "site"],
        "expected": {"channels": [str(channel) for channel in CHANNELS]},
        "channel": "1",
        "group_timeout_s": 2,
    },
}
PATIENT: dict[str, Any] = PIPELINE | {
    "name": "patient",
    "image_set": PIPELINE["image_set"] | {"group_timeout_s": 3600},
    "alerts": [{"rule": "silence", "for_s": 0.1}, {"rule": "finished", "settle_s": 3600}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[ServerProcess]:
    """Return a server with a pipeline for image sets."""
    folder = tmp_path_factory.mktemp("server")
    for pipeline in (PIPELINE, PATIENT):
        (folder / f"{pipeline['name']}.yaml").write_text(yaml.safe_dump(pipeline))
    options = ("--root", f"nas={root}", "--pipelines-dir", str(folder))
    with running_server(folder / "data", *options) as started:
        started.wait_until_ready()
        yield started


def write(folder: Path, site: int, *channels: int) -> None:
    for channel in channels:
        write_image(folder / f"p7_A01_s{site}_w{channel}.TIF", seed=10 * site + channel)


def test_sites_of_a_plate(client: HasteClient, server: ServerProcess, root: Path) -> None:
    folder = root / "p7"
    write(folder, 1, *CHANNELS)
    write(folder, 2, 2, 3, 4, 5)  # the reference comes late
    write(folder, 3, 1, 2, 3, 4)  # the fifth never comes
    (folder / "p7.HTD").write_text("the plate")
    (folder / "p7_A01_s1_w1.xml").write_text("the image")

    def submit() -> dict[str, JobAnswer]:
        client.submit_directory(
            folder, stream_id="p7", pipeline="sets", mode="enforce", names="imagexpress"
        ).wait()
        return {job.source_id[7:12]: job for job in client.jobs(stream_id="p7")}

    jobs = submit()
    assert {job.state for job in jobs.values()} == {200}
    reasons = {name: job.response["tier"]["reason"] for name, job in jobs.items()}
    assert "; complete; expression: channel 1 gave" in reasons["s1_w3"]
    assert "incomplete (channel 1 missing)" in reasons["s2_w2"]
    assert "incomplete (channel 5 missing)" in reasons["s3_w4"]
    assert_decided_by_first(jobs, 1)
    assert_decided_by_first(jobs, 3)
    assert {jobs[f"s2_w{channel}"].response["tier"]["tier"] for channel in (2, 3, 4, 5)} == {"tierD"}

    write(folder, 2, 1)
    submit()
    jobs = wait_for(lambda: moved(client, {f"s2_w{channel}" for channel in CHANNELS}))
    assert_decided_by_first(jobs, 2)

    verdict = client.verify("p7")
    assert verdict.differences == []
    assert verdict.not_verified == {"they were made from all images of a set": verdict.decisions}

    names = {path.name for path in (server.data_dir / "tiers").rglob("*.*") if path.is_file()}
    assert {"p7.HTD", "p7_A01_s1_w1.xml", "p7_A01_s1_w1.TIF"} <= names


def test_names_without_a_plate_make_sets_and_without_names_that_is_said(
    client: HasteClient, server: ServerProcess, root: Path
) -> None:
    folder = root / "p11"
    for channel in CHANNELS:
        write_image(folder / f"A - 1(fld 1 wv {channel} - {channel}).tif", seed=channel)

    def submit(*options: str) -> str:
        arguments = ("submit", str(folder), "--pipeline", "patient", "--wait", *options)
        run = haste(*arguments, url=server.url, roots={"nas": root})
        assert run.returncode == 0, run.stderr
        return run.stderr

    assert "belong to no image set" not in submit("--names", "incell")
    reasons = {job.response["tier"]["reason"] for job in client.jobs(stream_id="p11")}
    assert len(reasons) == 1
    assert "image set plate p11 well A01 site 1: channels 1, 2, 3, 4, 5; complete" in reasons.pop()

    said = submit("--stream", "p11-alone", "--pattern", "*wv [12]*")
    lacks = "which has no plate, well, site"
    assert "Warning: 2 of 2 new images belong to no image set, such as A - 1(fld 1 wv 1 - 1).tif, " in said
    assert f"{lacks}. Each is decided about alone. " in said
    jobs = list(client.jobs(stream_id="p11-alone"))
    reasons = {job.response["tier"]["reason"] for job in jobs}
    assert len(reasons) == 2
    alone = "; it belongs to no image set, since it has no plate, well, site"
    assert all(reason.endswith(alone) for reason in reasons)
    verdict = client.verify("p11-alone")
    assert (verdict.differences, verdict.decisions) == ([], 2)


def test_a_complete_plate_is_not_waited_for(client: HasteClient, server: ServerProcess, root: Path) -> None:
    folder = root / "p8"
    write(folder, 1, 1, 2, 3, 4)  # the fifth never comes

    def submit(*options: str) -> str:
        arguments = ("submit", str(folder), "--pipeline", "patient", "--names", "imagexpress", *options)
        run = haste(*arguments, url=server.url, roots={"nas": root})
        assert run.returncode == 0, run.stderr
        return run.stderr

    submit("--complete", "--wait")
    reasons = {job.response["tier"]["reason"] for job in client.jobs(stream_id="p8")}
    assert all("incomplete (channel 5 missing)" in reason for reason in reasons)
    [alert] = wait_for(lambda: [one for one in client.alerts("p8") if one.rule == "finished"])
    assert alert.details == {"done": 4, "failed": 0, "cancelled": 0}
    assert client.stream("p8").completed_at is not None
    before = len(list(client.alerts("p8")))

    write(folder, 2, 2)
    assert "it is open again, until haste complete p8" in submit()
    waiting = wait_for(lambda: [job for job in client.jobs(stream_id="p8", state="open") if scored(job)])
    assert client.stream("p8").completed_at is None
    wait_for(lambda: len(list(client.alerts("p8"))) > before)  # silence
    done = client.stream("p8").complete()
    job = wait_for(lambda: ended(client.job(waiting[0].job_id)))
    assert "incomplete (channel 1 missing, channel 3 missing" in job.response["tier"]["reason"]

    listed = haste("streams", "--json", url=server.url, roots={})
    [shown] = [line for line in map(json.loads, listed.stdout.splitlines()) if line["stream_id"] == "p8"]
    assert shown["completed_at"] == done.completed_at
    again = haste("complete", "p8", url=server.url, roots={})
    assert "since " in again.stdout


def scored(job: JobAnswer) -> bool:
    """Tell whether only its tier is to be decided."""
    return "focus-score" in job.response


def ended(job: JobAnswer) -> JobAnswer | None:
    return None if job.ended_at is None else job


def moved(client: HasteClient, names: set[str]) -> dict[str, JobAnswer] | None:
    """Return all jobs when those of some images have left the tier for what is undefined."""
    jobs = {job.source_id[7:12]: job for job in client.jobs(stream_id="p7")}
    are_there = all(
        jobs[name].state == 200 and jobs[name].response["tier"]["tier"] != "tierD" for name in names
    )
    return jobs if are_there else None


def assert_decided_by_first(jobs: dict[str, JobAnswer], site: int) -> None:
    ours = [job for name, job in jobs.items() if name.startswith(f"s{site}_")]
    score = min(1.0, max(0.0, (jobs[f"s{site}_w1"].response["focus-score"]["plls"] + 3) / 3))
    assert {job.response["tier"]["interestingness"] for job in ours} == {score}
    assert {job.response["tier"]["tier"] for job in ours} == {"tierA" if score >= 0.5 else "tierB"}


def test_a_folder_of_zarr_goes_to_its_tier(client: HasteClient, server: ServerProcess, root: Path) -> None:
    folder = root / "zarrs"
    source = write_container(folder / "a.zarr", noise(64, 64), "yx")
    submission = client.submit_directory(folder, mode="enforce").wait()
    (result,) = submission.results()
    assert result.state == "done", result.message
    (copy,) = (server.data_dir / "tiers").rglob("a.zarr")
    files = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert files == {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}

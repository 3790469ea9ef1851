"""Another policy moves what it concerns; pins hold; all decisions can be explained and verified."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from haste_apps.deciding.explaining import explain
from haste_apps.deciding.pinning import pin
from haste_apps.deciding.policies import change_mode, show_policy
from haste_apps.deciding.verifying import verify
from haste_client import HasteClient
from haste_client.answers import ImageAnswer
from haste_core.errors import InvalidError
from haste_runtime.exit_codes import ExitCode
from tests.e2e.haste_command import haste
from tests.e2e.server_process import ServerProcess
from tests.waiting import wait_for


def images(client: HasteClient, stream_id: str) -> dict[str, ImageAnswer]:
    return {image.source_id: image for image in client.images(stream_id, order="score")}


def hand_outs(client: HasteClient, image: ImageAnswer) -> int:
    (tiering,) = (task for task in client.job(image.job_id).task_list() if task.task_key == "tier")
    return tiering.attempts


def is_where_it_belongs(client: HasteClient, image: ImageAnswer) -> bool:
    job = client.job(image.job_id)
    return job.ended and job.response["tier"]["tier"] == image.tier and f"/{image.tier}/" in job.place.url


def split_at(border: float, below: str, above: str) -> dict[str, object]:
    intervals = [{"lo": 0, "hi": border, "tier": below}, {"lo": border, "hi": 1, "tier": above}]
    return {"intervals": intervals, "undefined": "empty"}


def test_from_a_score_to_a_tier_and_to_another_one(
    server: ServerProcess,
    client: HasteClient,
    plate: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = plate.name
    client.submit_directory(plate).wait(timeout_s=60)
    assert client.mode(stream).unmoved.count == 6
    with pytest.raises(InvalidError, match="--yes"):
        change_mode(client, stream, "enforce", yes=False, as_json=False)
    assert change_mode(client, stream, "enforce", yes=True, as_json=False) is ExitCode.DONE
    assert "6 images" in capsys.readouterr().err
    before = images(client, stream)
    wait_for(lambda: all(is_where_it_belongs(client, image) for image in images(client, stream).values()))
    assert client.mode(stream).unmoved.count == 0
    attempts = {name: hand_outs(client, image) for name, image in before.items()}

    # A policy that puts the two best elsewhere, of which one is pinned where it is.
    *others, pinned, moved = before
    tier = before[moved].tier
    assert {image.tier for image in before.values()} == {tier}
    pin(client, [stream, pinned], tier, reason="figure 2", by="eva", as_json=True)
    assert json.loads(capsys.readouterr().out)["pinned"] is True
    show_policy(client, stream, as_json=False)
    written = yaml.safe_load(capsys.readouterr().out)
    border = (before[others[-1]].score + before[pinned].score) / 2
    written["policy"] = split_at(border, tier, "tierB" if tier != "tierB" else "tierC")
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(written))
    run = haste("policy", stream, "--file", str(file), "--apply", "--yes", url=server.url, roots={})
    assert run.returncode == 0, run.stderr
    assert "decides by it now" in run.stderr
    after = images(client, stream)
    wait_for(lambda: is_where_it_belongs(client, images(client, stream)[moved]))
    assert {name for name, image in after.items() if image.tier != tier} <= {moved}
    assert images(client, stream)[pinned].pinned
    again = {name for name, image in after.items() if hand_outs(client, image) != attempts[name]}
    assert again == {moved}
    assert Path(client.job(after[moved].job_id).place.url.removeprefix("file://")).is_file()

    explain(client, [stream, pinned], as_json=False)
    told = capsys.readouterr().out
    assert f"{pinned} of stream {stream} (job {before[pinned].job_id}) belongs in {tier}" in told
    assert "pinned by eva" in told
    assert "figure 2" in told
    assert verify(client, stream, as_json=True) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["origins"]["pin"] == 1

    with closing(sqlite3.connect(server.data_dir / "haste.sqlite3")) as database, database:
        database.execute("UPDATE decisions SET score = 0.01 WHERE origin = 'pin'")
    run = haste("verify", stream, url=server.url, roots={})
    assert run.returncode == 1
    assert "its score is 0.01" in run.stdout

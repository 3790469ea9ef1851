"""A trash is emptied on a whole server whose workers are killed: what goes is gone, and known as gone."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from haste_apps.deciding.explaining import explain
from haste_client import HasteClient
from haste_core.errors import ConflictError
from tests.e2e.haste_command import haste
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

# The handler of `tier`, whose process kills itself at the moment after which a file is named, once.
HANDLER = """
import os, pathlib, signal
from haste_workers import removing
from haste_workers.handlers import tier as own

hash_file = removing.sha256_of

def tier(job, task, context):
    def die_at(moment):
        mark = pathlib.Path(job["metadata"]["marks"], job["source_id"])
        if task.decision.deletes and job["source_id"] == f"{moment}.tif" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def hash_and_die(path):
        die_at("set-aside")
        return hash_file(path)

    removing.sha256_of = hash_and_die
    answer = own.tier(job, task, context)
    die_at("judged" if task.leaving is None else "deleted")
    return answer
"""
DYING = ("judged", "set-aside", "deleted")
NAMES = (*DYING, "pinned", "young")


@contextmanager
def server_with_trash(folder: Path) -> Iterator[ServerProcess]:
    for name in ("originals", "marks", "pipelines"):
        (folder / name).mkdir()
    (folder / "lab_tier.py").write_text(HANDLER)
    function = {"function": "precomputed", "features_from": "focus-score", "parameters": {"field": "score"}}
    policy = {"intervals": [{"lo": 0, "hi": 1, "tier": "bin"}], "undefined": "bin", "move": True}
    pipeline = {"name": "bin", "description": "All to the bin", "tasks": "tier"}
    pipeline |= {"interestingness": function, "policy": policy}
    (folder / "pipelines" / "bin.yaml").write_text(yaml.safe_dump(pipeline))
    bin_tier = {"driver": "trash", "grace_days": 1, "root": str(folder / "bin")}
    for tier in ("bin", "A"):
        (folder / tier).mkdir()
    environment = {
        "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "HASTE_RETRY_DELAY_S": "0",
        "HASTE_TIERS": json.dumps({"bin": bin_tier, "A": {"root": str(folder / "A")}}),
        "HASTE_PIPELINES_DIR": str(folder / "pipelines"),
    }
    options = ["--root", f"plate={folder / 'originals'}", "--handler", "tier=lab_tier:tier"]
    with running_server(folder / "data", *options, "--workers", "2", environment=environment) as server:
        server.wait_until_ready()
        stream = {"stream_id": "plate7", "pipeline": "bin", "mode": "enforce"}
        assert server.call("POST", "/HASTE/stream/", json=stream).status_code == 201
        yield server


def submit(server: ServerProcess, folder: Path, name: str) -> int:
    path = folder / "originals" / f"{name}.tif"
    path.write_bytes(name.encode() * 1000)
    metadata = {"score": 0.5, "marks": str(folder / "marks")}
    response = {"focus-score": {"size_bytes": path.stat().st_size}}
    return server.submit(path, "tier", stream_id="plate7", response=response, metadata=metadata)


def grow_old(server: ServerProcess, files: list[Path]) -> None:
    """Let two days pass, in the table of tasks and for some files."""
    ago = time.time() - 2 * 86_400
    with closing(sqlite3.connect(server.data_dir / "haste.sqlite3")) as database, database:
        database.execute("UPDATE tasks SET ended_at = ?", (ago,))
    for file in files:
        os.utime(file, (ago, ago))


def emptied(server: ServerProcess, *options: str) -> dict[str, Any]:
    run = haste("trash", "empty", "bin", "--json", *options, url=server.url, roots={})
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_what_goes_is_gone_and_what_stays_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bin" / "plate7"
    with server_with_trash(tmp_path) as server, HasteClient(server.url) as client:
        jobs = {name: submit(server, tmp_path, name) for name in NAMES}
        assert {server.wait_for_job(job_id)["state"] for job_id in jobs.values()} == {200}
        assert sorted(path.stem for path in folder.iterdir()) == sorted(NAMES)
        client.pin(jobs["pinned"], "bin", reason="figure 2")
        assert client.empty_trash("bin", dry_run=True).count == 0
        grow_old(server, [folder / f"{name}.tif" for name in NAMES if name != "young"])

        told = emptied(server, "--yes", "--by", "eva")
        assert (told["count"], told["emptied"]) == (4, True)
        wait_for(lambda: client.stream("plate7").deleted.count == 3)
        kept = server.wait_for_job(jobs["young"])
        assert "stays until" in kept["tasks"]["Task"]["task_msg"]

        assert sorted(path.stem for path in (tmp_path / "marks").iterdir()) == sorted(DYING), "all have died"
        assert sorted(path.name for path in folder.iterdir()) == ["pinned.tif", "young.tif"]
        assert not list((tmp_path / "originals").iterdir())
        for name, job_id in jobs.items():
            job = server.job(job_id)
            assert job["state"] == 200
            assert (job["place"] is None) == (job["deleted_at"] is not None) == (name in DYING)
        assert [(one.source_id, one.pinned) for one in client.trash("bin")] == [
            ("pinned.tif", True),
            ("young.tif", False),
        ]
        with pytest.raises(ConflictError, match="was deleted from the trash"):
            client.recall(jobs["judged"])
        explain(client, [str(jobs["judged"])], as_json=False)
        said = capsys.readouterr().out
        assert "is gone: it was deleted from bin" in said
        assert "a trash that eva had emptied" in said
        verdict = client.verify("plate7")
        assert (verdict.differences, verdict.origins["deletion"]) == ([], 4)

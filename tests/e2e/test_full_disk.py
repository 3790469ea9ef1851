"""A server with SQLite whose disk, with its log, is full for a while."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

HANDLER = """
import time

def nap(job, task, context):
    time.sleep(0.1)
    return {}
"""
_FULL_S = 3.0
_FULL_BYTES = 100  # where a file may not grow beyond this, its writers fare as on a full disk


def limit_files(server: ServerProcess, most_bytes: int | None) -> None:
    for pid in server.pids():
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        soft = hard if most_bytes is None else most_bytes
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_jobs_are_refused_while_the_disk_is_full_and_all_others_end(tmp_path: Path) -> None:
    (tmp_path / "lab_naps.py").write_text(HANDLER)
    image = tmp_path / "a.tif"
    image.write_bytes(b"any")
    options = ["--handler", "nap=lab_naps:nap", "--root", f"here={tmp_path}", "--workers", "2"]
    environment = {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "HASTE_LEASE_S": "3",
    }
    spec = {"source_url": image.as_uri(), "source_id": "refused", "tasks": "nap"}
    with running_server(tmp_path / "data", *options, environment=environment) as server:
        server.wait_until_ready()
        accepted = [server.submit(image, "nap") for _ in range(60)]
        wait_for(lambda: server.job(accepted[0])["ended_at"])

        limit_files(server, _FULL_BYTES)
        refused = server.call("POST", "/HASTE/job/", json=spec)
        time.sleep(_FULL_S)
        readiness = server.call("GET", "/readyz")
        limit_files(server, None)

        ended = [server.wait_for_job(job_id) for job_id in accepted]
        assert server.call("GET", "/HASTE/search/refused").json()["jobs"] == []
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert "the database is not available" in refused.json()["detail"]
    assert readiness.status_code == 503
    assert {job["state"] for job in ended} == {200}

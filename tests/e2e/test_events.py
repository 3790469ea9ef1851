"""Following a real server, and its stop while somebody follows."""

import json
import time
from pathlib import Path

import pytest
import requests

from tests.e2e.server_process import PROC, running_server

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")


def test_a_server_tells_what_happens_and_stops_while_it_is_followed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers", "1") as server:
        server.wait_until_ready()
        with requests.get(f"{server.url}/HASTE/events", stream=True, timeout=20) as answer:
            lines = answer.iter_lines()
            job = {
                "source_url": "root://nas/A01.tif",
                "source_id": "A01",
                "stream_id": "s",
                "tasks": "no-worker",
            }
            assert server.call("POST", "/HASTE/job/", json=job).status_code == 201
            told = next(line for line in lines if line.startswith(b"data: "))
            assert json.loads(told[6:])["open"] == 1

            began = time.monotonic()
            server.stop()
            stopped_in_s = time.monotonic() - began
            assert [line for line in lines if line.startswith(b"data: ")] == []

    assert stopped_in_s < 8  # what is under way may take ten

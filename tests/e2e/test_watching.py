"""The command that watches a folder, with a real server."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from haste_apps.submitting import OUTAGE_PAUSE_S
from haste_client import HasteClient
from tests.e2e.haste_command import environment, haste, watching
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")


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
        server.kill_all()
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


def test_a_watch_tells_what_happens_when_it_happens(
    server: ServerProcess, client: HasteClient, root: Path, plate: Path, tmp_path: Path
) -> None:
    said, away = tmp_path / "said.txt", plate.with_name("away")

    def jobs() -> int:
        return len(list(client.jobs(stream_id=plate.name, state="done")))

    with watching(plate, said, url=server.url, roots={"nas": root}) as watcher:
        wait_for(lambda: jobs() == 6)
        write_image(plate / ("d" * 120) / ("e" * 130) / "long.tif")
        wait_for(lambda: "long.tif: source_id" in said.read_text())
        for times in (1, 2):
            plate.rename(away)
            wait_for(lambda times=times: said.read_text().count("cannot be read now") == times)
            away.rename(plate)
            wait_for(lambda times=times: said.read_text().count("is there again") == times)
        write_image(plate / "A01/after.tif", seed=7)
        wait_for(lambda: jobs() == 7)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(20) == 1
    assert said.read_text().count("not submitted") == 1
    assert jobs() == 7


def test_a_watch_ends_soon_when_asked_though_the_server_is_away(tmp_path: Path) -> None:
    folder, said = tmp_path / "plate", tmp_path / "said.txt"
    folder.mkdir()
    with running_server(tmp_path / "data", "--root", f"nas={folder}") as server:
        server.wait_until_ready()
        with watching(folder, said, url=server.url, roots={"nas": folder}) as watcher:
            wait_for(lambda: "watching" in said.read_text())
            server.kill_all()
            write_image(folder / "a.tif")
            wait_for(lambda: "Trying again" in said.read_text())
            time.sleep(OUTAGE_PAUSE_S + 0.5)  # into the next call
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(OUTAGE_PAUSE_S + 5) == 0
    assert "Traceback" not in said.read_text()

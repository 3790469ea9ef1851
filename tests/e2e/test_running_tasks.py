"""Tasks that run, in both shapes: seen as they go on, cancelled, chosen, ended if they kill their process."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server_process import (
    PROC,
    ServerProcess,
    running_server,
    running_worker,
)
from tests.tables import make_tables
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

HANDLERS = """
import ctypes, os, pathlib, time

def hold(job, task, context):
    folder = pathlib.Path(job["metadata"]["folder"])
    (folder / f"{job['source_id']}-{task.attempt}").write_text(str(os.getpid()))
    began = time.monotonic()
    while not ((folder / "go").exists() or (folder / f"go-{job['source_id']}").exists()):
        held_s = time.monotonic() - began
        if not job["metadata"].get("quiet"):
            context.progress(min(1, held_s / 100), f"held for {held_s:.1f} s")
        time.sleep(0.1)
    return {"attempt": task.attempt}

def poison(job, task, context):
    hoard = [b"x" * 2**20 for _ in range(job["metadata"].get("mib", 0))]
    kind = job["metadata"]["kind"]
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "leave":
        os._exit(7)
    while kind == "hoard":
        hoard.append(b"x" * 2**24)
    return {}
"""
KEYS = ("hold", "poison")
GIB = 2**30
LEASE_S = 3


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "lab_handlers.py").write_text(HANDLERS)
    environment = {
        "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "HASTE_LEASE_S": str(LEASE_S),
        "HASTE_MAX_ATTEMPTS": "2",
        "HASTE_RETRY_DELAY_S": "0",
        "HASTE_SELECTORS": '{"hold": "newest-first"}',
        "HASTE_TASK_MEMORY_BYTES": str(GIB),
    }
    handlers = [option for key in KEYS for option in ("--handler", f"{key}=lab_handlers:{key}")]
    options = [*handlers, "--root", f"here={tmp_path_factory.getbasetemp()}", "--workers", "2"]
    with ExitStack() as cleanup:
        if request.param == "distributed":
            environment |= {
                "HASTE_DATABASE_URL": request.getfixturevalue("lasting_mariadb_url"),
                "HASTE_BROKER_URL": request.getfixturevalue("lasting_amqp_url"),
            }
            make_tables(environment["HASTE_DATABASE_URL"])
            of_worker = environment | {
                "HASTE_HEARTBEAT_S": str(LEASE_S / 6),
                "HASTE_WORK_DIR": str(folder / "work"),
            }
            more = ("--concurrency", 2, "--keys", ",".join(KEYS))
            running = running_worker(folder / "worker.log", *handlers, *more, environment=of_worker)
            cleanup.enter_context(running)
            options = []
        server = cleanup.enter_context(running_server(folder / "data", *options, environment=environment))
        server.wait_until_ready()
        yield server


def submit(server: ServerProcess, tmp_path: Path, name: str, tasks: Any, **metadata: Any) -> int:
    return server.submit(tmp_path / name, tasks, metadata={"folder": str(tmp_path), **metadata})


def show_task(server: ServerProcess, job_id: int) -> dict[str, Any]:
    task_id = server.job(job_id)["tasks"]["Task"]["task_id"]
    return dict(server.call("GET", f"/HASTE/task/{task_id}").json()["Task"])


def is_alive(pid: int) -> bool:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_tasks_of_several_leases_run_once_and_their_progress_is_fresh(
    server: ServerProcess, tmp_path: Path
) -> None:
    job_id = submit(server, tmp_path, "long", "hold")
    quiet = submit(server, tmp_path, "quiet", "hold", quiet=True)
    wait_for((tmp_path / "quiet-1").exists)
    began = tmp_path / "long-1"
    wait_for(lambda: began.exists() and began.read_text())
    began_at = began.stat().st_mtime

    ages = []
    while time.time() < began_at + 2.2 * LEASE_S:
        shown = show_task(server, job_id)
        age_s = time.time() - began_at
        if age_s > 4:
            ages.append(age_s - 100 * shown["fraction"])
            assert shown["note"].startswith("held for ")
        time.sleep(0.1)
    (tmp_path / "go").touch()
    job = server.wait_for_job(job_id)

    assert sorted(ages)[len(ages) // 2] < 2.5
    assert job["response"] == {"hold": {"attempt": 1}}, "it ran once, although it took two leases"
    assert server.wait_for_job(quiet)["response"] == {"hold": {"attempt": 1}}, "silence is no matter"
    ended = show_task(server, job_id)
    assert (ended["fraction"], ended["note"]) == (None, "")
    (attempt,) = ended["history"]
    assert (attempt["outcome"], attempt["state"]) == ("ended", 200)
    assert attempt["ended_at"] - attempt["started_at"] > 2 * LEASE_S


def test_a_cancelled_task_is_killed_and_its_slot_used_by_others(
    server: ServerProcess, tmp_path: Path
) -> None:
    cancelled = submit(server, tmp_path, "cancelled", {"taskSequential": ["hold", "poison"]}, kind="")
    deleted = submit(server, tmp_path, "deleted", "hold")
    pids = []
    for name in ("cancelled", "deleted"):
        marker = tmp_path / f"{name}-1"
        wait_for(lambda marker=marker: marker.exists() and marker.read_text())
        pids.append(int(marker.read_text()))

    asked_at = time.monotonic()
    answer = server.call("POST", f"/HASTE/job/{cancelled}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, 410)
    assert server.call("DELETE", f"/HASTE/job/{deleted}").status_code == 204
    wait_for(lambda: not any(map(is_alive, pids)))
    assert time.monotonic() - asked_at < 10
    other = submit(server, tmp_path, "other", "poison", kind="")
    assert server.wait_for_job(other)["state"] == 200

    (tmp_path / "go").touch()
    assert server.call("POST", f"/HASTE/job/{cancelled}/retry").status_code == 200
    job = server.wait_for_job(cancelled)
    assert (job["state"], job["response"]["hold"]) == (200, {"attempt": 2})


@pytest.mark.parametrize("kind", ["segfault", "leave", "hoard"])
def test_poison_ends_as_500_with_its_reason_and_the_worker_goes_on(
    server: ServerProcess, tmp_path: Path, kind: str
) -> None:
    job_id = submit(server, tmp_path, kind, "poison", kind=kind, mib=300)
    others = [submit(server, tmp_path, f"other-{n}", "poison", kind="") for n in range(5)]

    assert server.wait_for_job(job_id)["state"] == 500
    assert {server.wait_for_job(other)["state"] for other in others} == {200}
    task = show_task(server, job_id)
    words = {"segfault": "killed by SIGSEGV", "leave": "exit code 7", "hoard": "needs more memory"}
    assert words[kind] in task["task_msg"]
    assert "1.0 GiB" in task["task_msg"]
    assert "`task_memory_bytes`" in task["task_msg"]
    # A busy worker may hand a task back that it has not begun.
    outcomes = [item["outcome"] for item in task["history"] if item["outcome"] != "handed_back"]
    if kind == "hoard":
        assert outcomes == ["ended"], "the same again would take as much"
    else:
        assert "failed 2 times" in task["task_msg"]
        assert "memory peaked at 3" in task["task_msg"]
        assert outcomes == ["crashed", "crashed"]


def test_a_key_that_was_set_to_newest_first_is_handed_out_so(server: ServerProcess, tmp_path: Path) -> None:
    def begin(name: str) -> int:
        return submit(server, tmp_path, name, "hold")

    begin("first")
    second = begin("second")
    # One may be handed out again: a child that an earlier test killed is replaced meanwhile.
    wait_for(lambda: all(any(tmp_path.glob(f"{name}-*")) for name in ("first", "second")))
    waiting = [begin(name) for name in ("old", "newer", "newest")]
    time.sleep(1.5)
    for name in ("first", "old", "newer", "newest"):  # one slot stays held, so that they begin one by one
        (tmp_path / f"go-{name}").touch()
    for job_id in waiting:
        server.wait_for_job(job_id)
    (tmp_path / "go").touch()
    server.wait_for_job(second)

    began = {job_id: show_task(server, job_id)["started_at"] for job_id in waiting}
    assert sorted(waiting, key=began.__getitem__) == waiting[::-1]

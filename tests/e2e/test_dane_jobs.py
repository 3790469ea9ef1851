"""DANE's example job through REST, with two handlers of a user's own: the meanings of its words."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.server_process import running_server

HANDLERS = "tests.e2e.dane_handlers"


class Dane:
    """A client that knows nothing but URLs."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/HASTE"

    def call(self, method: str, path: str, expected: int = 200, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}{path}", json=body, timeout=10)
        assert answer.status_code == expected, answer.text
        return answer.json() if answer.content else None

    def wait(self, job_id: int) -> Any:
        deadline = time.monotonic() + 20
        while (job := self.call("GET", f"/job/{job_id}"))["state"] in (102, 201):
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job


@pytest.fixture(scope="module")
def dane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dane]:
    handlers = (f"--handler={key}={HANDLERS}:{key}" for key in ("download", "asr", "shot"))
    importable = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with running_server(
        tmp_path_factory.mktemp("dane") / "data", *handlers, environment=importable
    ) as server:
        server.wait_until_ready()
        yield Dane(server.url)
        assert server.stop() == 0


@pytest.fixture
def switch(tmp_path: Path) -> Path:
    return tmp_path / "switch"


def example(switch: Path) -> dict[str, Any]:
    return {
        "source_url": "http://x/a.mp4",
        "source_id": f"ITM123-{switch.parent.name}",
        "tasks": {"taskSequential": ["DOWNLOAD", {"taskParallel": ["ASR", "SHOT"]}]},
        "metadata": {"lang": "nl", "switch": str(switch)},
        "priority": "5",
        "source_set": "ignored",
    }


def tasks_of(job: Any) -> list[Any]:
    first, parallel = job["tasks"]["taskSequential"]
    return [first["Task"], *(task["Task"] for task in parallel["taskParallel"])]


def states(job: Any) -> list[int]:
    return [task["task_state"] for task in tasks_of(job)]


def test_the_example_runs_and_passes_answers_on(dane: Dane, switch: Path) -> None:
    job = dane.call("POST", "/job/", 201, example(switch))
    assert states(job) == [201, 201, 201]
    done = dane.wait(job["job_id"])
    assert states(done) == [200, 200, 200]
    assert done["response"]["shot"] == {"shots": 3}
    assert done["response"]["asr"] == {"heard": "Video", "lang": "nl", "runs": 1}
    assert done["priority"] == 5
    found = dane.call("GET", f"/search/{job['source_id']}")
    assert found["jobs"] == [job["job_id"]]
    assert job["job_id"] not in dane.call("GET", "/job/inprogress")["jobs"]


def test_retry_runs_what_failed_and_leaves_what_is_done(dane: Dane, switch: Path) -> None:
    switch.touch()
    failed = dane.wait(dane.call("POST", "/job/", 201, example(switch))["job_id"])
    assert states(failed) == [200, 502, 200]
    assert "the sound cannot be read" in tasks_of(failed)[1]["task_msg"]
    switch.unlink()
    dane.call("POST", f"/job/{failed['job_id']}/retry")
    done = dane.wait(failed["job_id"])
    assert states(done) == [200, 200, 200]
    assert [done["response"][key]["runs"] for key in ("download", "asr")] == [1, 2]
    dane.call("POST", f"/job/{failed['job_id']}/retry", 409)


def test_a_single_failed_task_is_retried(dane: Dane, switch: Path) -> None:
    switch.touch()
    failed = dane.wait(dane.call("POST", "/job/", 201, example(switch))["job_id"])
    download, asr, _ = tasks_of(failed)
    dane.call("POST", f"/task/{download['task_id']}/retry", 409)
    switch.unlink()
    dane.call("POST", f"/task/{asr['task_id']}/retry")
    assert states(dane.wait(failed["job_id"])) == [200, 200, 200]


def test_forceretry_runs_a_done_task_and_replaces_its_answer(dane: Dane, switch: Path) -> None:
    done = dane.wait(dane.call("POST", "/job/", 201, example(switch))["job_id"])
    task_id = tasks_of(done)[0]["task_id"]
    shown = dane.call("POST", f"/task/{task_id}/forceretry")
    assert shown["Task"]["task_state"] in (201, 102)
    again = dane.wait(done["job_id"])
    assert again["response"]["download"] == {"file_type": "Video", "runs": 2}
    assert again["response"]["asr"]["runs"] == 2, "what depends on it ran again"


def test_reset_takes_a_task_back_without_running_it(dane: Dane, switch: Path) -> None:
    done = dane.wait(dane.call("POST", "/job/", 201, example(switch))["job_id"])
    task_id = tasks_of(done)[1]["task_id"]
    assert dane.call("POST", f"/task/{task_id}/reset")["Task"]["task_state"] == 201
    time.sleep(1)
    held = dane.call("GET", f"/job/{done['job_id']}")
    assert states(held) == [200, 201, 200]
    assert held["job_id"] in dane.call("GET", "/job/inprogress")["jobs"]
    dane.call("POST", f"/job/{done['job_id']}/retry")
    assert dane.wait(done["job_id"])["response"]["asr"]["runs"] == 2


def test_a_deleted_job_is_gone(dane: Dane, switch: Path) -> None:
    done = dane.wait(dane.call("POST", "/job/", 201, example(switch))["job_id"])
    dane.call("DELETE", f"/job/{done['job_id']}", 204)
    dane.call("GET", f"/job/{done['job_id']}", 404)
    dane.call("GET", f"/task/{tasks_of(done)[0]['task_id']}", 404)
    assert dane.call("GET", f"/search/{done['source_id']}")["jobs"] == []


def test_what_dane_took_by_accident_is_refused_with_all_problems(dane: Dane) -> None:
    body = {
        "source_url": "http://x/a",
        "source_id": "",
        "tasks": {"taskSequential": "TEST"},
        "priority": "abc",
    }
    problem = dane.call("POST", "/job/", 400, body)
    assert {item["where"] for item in problem["problems"]} == {
        "source_id",
        "tasks.taskSequential",
        "priority",
    }

"""`haste doctor`, at a server in this process."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from haste_apps.cli import app
from haste_apps.doctor.server import examine_token, reach
from haste_client import HasteClient
from haste_core.messages import Presence
from haste_core.tokens import NewToken, Scope, sha256_of
from tests.integration.api.conftest import Api, spec
from tests.integration.served_api import served_api

TOKEN = "a token of some length"
TIERS = ("archive", "empty", "tierA", "tierB", "tierC", "tierD")


@pytest.fixture(scope="module")
def served(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """Return a server with a token, and its address."""
    with served_api(tmp_path_factory.mktemp("doctor"), empty_database, token=TOKEN) as served:
        yield served


@pytest.fixture
def api(served: tuple[Api, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    """Return the server, with one worker that is well, and none that an earlier test had."""
    api, url = served
    monkeypatch.setenv("HASTE_CLIENT_CONFIG", str(tmp_path / "client.yaml"))
    (tmp_path / "client.yaml").write_text(f"server_url: {url}\ntoken: {TOKEN}\n")
    monkeypatch.delenv("HASTE_SERVER_URL", raising=False)
    monkeypatch.delenv("HASTE_TOKEN", raising=False)
    api.now += 1000
    api.readiness = {"database": "ok", "broker": "ok", "engine": "ok"}
    attend(api)
    return api


def attend(api: Api, name: str = "w1", *, clock_ahead_s: float = 0.0, **told: object) -> None:
    """Let a worker send a heartbeat."""
    presence = {
        "worker_id": name,
        "host": "pc",
        "pid": 1,
        "keys": ("focus-score", "preprocess", "tier", "upload"),
        "site": "default",
        "slots": 2,
        "version": version("haste-server"),
        "tiers": dict.fromkeys(TIERS, ""),
        "sent_at": api.now + clock_ahead_s,
    }
    api.store.save_presence([Presence.model_validate(presence | told)], now=api.now)


def doctor(*options: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *options])


def found(*options: str, exit_code: int) -> dict[str, list[dict[str, str]]]:
    """Return the findings, by what was looked at."""
    run = doctor("--json", *options)
    assert run.exit_code == exit_code, run.output
    told = json.loads(run.stdout)
    assert told["well"] is (exit_code == 0)
    checks: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        checks.setdefault(finding["check"], []).append(finding)
    return checks


def outcomes(checks: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    return {check: [finding["outcome"] for finding in findings] for check, findings in checks.items()}


def test_where_all_is_well_it_says_so(api: Api, tmp_path: Path) -> None:
    checks = found(exit_code=0)
    # How many folders can be watched is this machine's affair.
    assert {check: each for check, each in outcomes(checks).items() if check != "watching"} == {
        check: ["ok"]
        for check in (
            *("settings", "server", "clocks", "token", "database", "broker", "engine"),
            *("workers", "queues", "tiers", "versions"),
        )
    }
    assert f"from {tmp_path / 'client.yaml'}" in checks["settings"][0]["said"]
    assert "focus-score, preprocess, tier, upload at default" in checks["workers"][0]["said"]
    assert TOKEN not in json.dumps(checks)
    run = doctor()
    assert "All is well" in run.stderr
    assert "All is well" not in run.stdout


@pytest.mark.parametrize(
    ("scopes", "ends_in_s", "outcome", "said"),
    [
        (Scope.SUBMIT, None, "ok", "good for read, submit in the projects lab1"),
        (Scope.READ, None, "warning", "submit nothing"),
        (Scope.ADMIN, 3600.0, "warning", ", until "),
        (Scope.ADMIN, 30 * 86400.0, "ok", ", until "),
    ],
)
def test_what_the_token_is_good_for(
    api: Api, scopes: Scope, ends_in_s: float | None, outcome: str, said: str
) -> None:
    secret = f"secret {scopes} {ends_in_s}"
    ends_at = None if ends_in_s is None else api.now + ends_in_s
    wanted = NewToken(f"token-{scopes}-{ends_in_s}", (scopes,), ("lab1",), ends_at)
    api.store.add_token(wanted, sha256_of(secret), now=api.now)

    with HasteClient(token=secret, retry_for_s=1.0) as client:
        finding = examine_token(client, "command line", now=api.now)

    assert finding.outcome.value == outcome
    assert said in finding.said
    assert wanted.name in finding.said


def test_a_token_that_is_wrong_or_missing_is_told_apart(api: Api, tmp_path: Path) -> None:
    checks = found("--token", "of another server", exit_code=1)
    assert outcomes(checks)["token"] == ["wrong"]
    assert "does not take the token from command line" in checks["token"][0]["said"]
    assert "haste token create" in checks["token"][0]["remedy"]
    assert outcomes(checks)["database"] == ["ok"]  # monitoring asks for no token
    assert outcomes(checks)["workers"] == outcomes(checks)["tiers"] == ["unknown"]

    config = tmp_path / "client.yaml"
    config.write_text(config.read_text().replace(f"token: {TOKEN}\n", ""))
    assert "there is none" in found(exit_code=1)["token"][0]["said"]


def test_parts_that_do_not_work_are_told_with_what_to_do(api: Api) -> None:
    api.readiness = {"database": "ok", "broker": "RabbitMQ at nas does not answer", "engine": "ok"}
    checks = found(exit_code=1)
    assert outcomes(checks)["database"] == ["ok"]
    (broker,) = checks["broker"]
    assert (broker["outcome"], broker["said"]) == ("wrong", "RabbitMQ at nas does not answer")
    assert "broker_url" in broker["remedy"]


def test_workers_that_are_old_late_or_cannot_write_are_told(api: Api) -> None:
    trouble = "the folder /mnt/a of the tier is not there now: is the share mounted?"
    told = dict.fromkeys(("archive", "empty", "tierB"), "") | {"tierA": trouble}
    attend(api, version="0.0.1", tiers=told, clock_ahead_s=-75.0, keys=("focus-score", "tier", "upload"))
    waiting = spec(source_id="A01", tasks="count-cells", site="lab1")
    job = api.client.post("/HASTE/job/", json=waiting, headers=bearer()).json

    checks = found(exit_code=1)

    broken, unnamed, good = checks["tiers"]
    assert (broken["outcome"], unnamed["outcome"], good["outcome"]) == ("wrong", "warning", "ok")
    assert f"tierA cannot be written to from pc (default): {trouble}" == broken["said"]
    assert "tierC, tierD" in unnamed["said"]
    assert "archive, empty, tierB" in good["said"]
    assert "75 s behind" in checks["clocks"][1]["said"]
    assert "0.0.1" in checks["versions"][0]["said"]
    queue, key = checks["queues"]
    assert queue["outcome"] == "wrong"
    assert "no worker for key 'count-cells' at site 'lab1'" in queue["said"]
    assert "haste-worker --keys count-cells --site lab1" in queue["remedy"]
    assert (key["outcome"], "takes preprocess" in key["said"]) == ("warning", True)
    assert "pipelines edge, full" in key["said"]
    api.client.delete(f"/HASTE/job/{job['job_id']}", headers=bearer())


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def test_a_server_without_workers_is_no_use(api: Api) -> None:
    api.now += 1000
    checks = found(exit_code=1)
    assert "no worker is alive" in checks["workers"][0]["said"]
    assert outcomes(checks)["tiers"] == ["unknown"]


@pytest.mark.parametrize(("ahead_s", "said"), [(90, "90 s ahead of"), (-90, "90 s behind")])
def test_a_clock_that_is_off_is_told(api: Api, ahead_s: float, said: str) -> None:
    with HasteClient(retry_for_s=1.0) as client:
        answers, clock = reach(client, is_chosen=True, clock=lambda: time.time() + ahead_s).findings
    assert (answers.outcome.value, clock.outcome.value) == ("ok", "warning")
    assert (
        clock.said.replace("89", "90").replace("91", "90") == f"this computer's clock is {said} the server's"
    )


class _Other(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"hello": "world"}' if self.path == "/healthz" else b"<html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_another_program_at_the_address_is_no_server() -> None:
    with HTTPServer(("127.0.0.1", 0), _Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        checks = found("--server", f"http://127.0.0.1:{server.server_port}", exit_code=1)
        server.shutdown()
        thread.join()
    assert "is no HASTE server" in checks["server"][0]["said"]
    assert "HASTE_SERVER_URL" in checks["server"][0]["remedy"]

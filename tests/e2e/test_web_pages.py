"""What a web page in the browser of somebody who runs a server on the same machine reaches there."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from haste_client import HasteClient
from tests.e2e.server_process import PROC, ServerProcess, running_server

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

EVIL = "http://evil.example"
JOB = {"source_url": "root://nas/A01.tif", "source_id": "A01", "tasks": "a-key-without-workers"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server") / "data", "--workers", "1") as running:
        running.wait_until_ready()
        yield running


def test_a_page_of_another_site_changes_nothing(server: ServerProcess) -> None:
    with HasteClient(server.url) as client:
        job = client.submit_job(JOB)
        page = {"Origin": EVIL, "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}
        task_id = job.task_list()[0].task_id

        for path in (f"job/{job.job_id}/delete", f"job/{job.job_id}/cancel", f"task/{task_id}/forceretry"):
            assert server.call("POST", f"/HASTE/{path}", headers=page).status_code == 403
        assert server.call("DELETE", f"/HASTE/job/{job.job_id}", headers=page).status_code == 403

        assert client.job(job.job_id).state == 201
        assert client.cancel_job(job.job_id).state == 410


@pytest.mark.parametrize("path", ["/HASTE/jobs/", "/healthz"])
def test_a_site_whose_name_leads_here_learns_nothing(server: ServerProcess, path: str) -> None:
    port = urlsplit(server.url).port
    # To the browser that page and server are of one site.
    rebound = {"Host": f"evil.example:{port}", "Origin": f"{EVIL}:{port}", "Sec-Fetch-Site": "same-origin"}

    refused = server.call("GET", path, headers=rebound)
    submitted = server.call("POST", "/HASTE/job/", headers=rebound, json=JOB)

    assert (refused.status_code, submitted.status_code) == (403, 403)
    assert "use 127.0.0.1 or localhost" in refused.json()["detail"]
    assert server.call("GET", path, headers={"Host": f"localhost:{port}"}).status_code == 200


def test_the_servers_own_pages_may_change_things(server: ServerProcess) -> None:
    answer = server.call("POST", "/HASTE/job/", json=JOB, headers={"Origin": server.url})

    assert answer.status_code == 201


def test_a_program_that_names_no_host_is_no_browser(server: ServerProcess) -> None:
    address = urlsplit(server.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("GET", "/healthz", skip_host=True)
    connection.endheaders()

    assert connection.getresponse().status == 200
    connection.close()


def test_the_printed_address_opens_the_page(server: ServerProcess) -> None:
    printed = re.search(r"serving at (http://127\.0\.0\.1:\d+)", server.log.read_text())
    assert printed
    page = requests.get(printed[1], timeout=10)

    assert page.status_code == 200
    assert "<h1>Streams</h1>" in page.text
    assert "Log out" not in page.text
    for path in re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text):
        assert server.call("GET", path.replace("&amp;", "&")).status_code == 200


def test_who_has_the_token_logs_in_once(tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    with running_server(tmp_path / "data", "--workers", "1", environment={"HASTE_TOKEN": token}) as server:
        server.wait_until_ready()
        with requests.Session() as browser:
            refused = browser.get(f"{server.url}/", timeout=10)
            opened = browser.get(f"{server.url}/", params={"token": token}, timeout=10)
            asked = browser.get(f"{server.url}/HASTE/stream/", timeout=10)
            form = re.search(r'name="form_token" value="(\w+)"', opened.text)
            assert form
            foreign = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
            logout = {"url": f"{server.url}/logout", "data": {"form_token": form[1]}, "timeout": 10}
            kept = browser.post(**logout, headers=foreign)
            left = browser.post(**logout, headers={"Origin": server.url, "Sec-Fetch-Site": "same-origin"})
            outside = browser.get(f"{server.url}/HASTE/stream/", timeout=10)

        assert "/login?next=" in refused.url
        assert "<h1>Streams</h1>" in opened.text
        assert opened.url == f"{server.url}/"
        assert (asked.status_code, kept.status_code, outside.status_code) == (200, 403, 401)
        assert left.url == f"{server.url}/login"
        assert token not in server.log.read_text()

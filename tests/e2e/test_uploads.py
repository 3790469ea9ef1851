"""Uploads to a real server: clients of the protocol, kills in the middle of a file, memory."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from tusclient.client import TusClient

from haste_client import HasteClient
from haste_core.uploads import metadata_header
from tests.e2e.documentation import blocks_of
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.waiting import wait_for

TUS = {"Tus-Resumable": "1.0.0"}
CONTENT = os.urandom(3_000_000)
HALF = len(CONTENT) // 2
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("uploads") / "data"
    environment = {"HASTE_AGENT_TAGS": '{"lab1": "focus-tier"}'}
    with running_server(data_dir, "--workers", "1", environment=environment) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "A01_s1.tif"
    path.write_bytes(CONTENT)
    return path


def begin(server: ServerProcess, length: int = len(CONTENT), **metadata: str) -> str:
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata_header(metadata)}
    answer = server.call("POST", "/HASTE/files/", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def offset(server: ServerProcess, path: str) -> int:
    return int(server.call("HEAD", path, headers=TUS).headers["Upload-Offset"])


def send_part(server: ServerProcess, path: str, part: bytes, *, length: int = len(CONTENT)) -> socket.socket:
    """Send the beginning of a piece, and return the connection on which the rest could come."""
    address = urlsplit(server.url)
    lines = [
        f"PATCH {path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {length}",
    ]
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + part)
    return connection


def landed(server: ServerProcess, stream: str) -> list[bytes]:
    return [path.read_bytes() for path in server.data_dir.glob(f"landing/{stream}/??/*")]


def test_an_upload_that_breaks_off_goes_on_where_it_was(server: ServerProcess) -> None:
    path = begin(server, stream_id="broken", job="no")
    with send_part(server, path, CONTENT[:HALF]):
        wait_for(lambda: offset(server, path) > HALF - 100_000)
    wait_for(lambda: offset(server, path) == HALF)

    rest = (CONTENT[start : start + 65_536] for start in range(HALF, len(CONTENT), 65_536))
    headers = {**TUS, "Upload-Offset": str(HALF), "Content-Type": "application/offset+octet-stream"}
    # It may hold the upload a little longer, until it notices that no more comes.
    wait_for(lambda: server.call("PATCH", path, data=b"", headers=headers).status_code == 204)
    in_chunks = server.call("PATCH", path, data=rest, headers=headers)

    assert in_chunks.status_code == 204, in_chunks.text
    assert landed(server, "broken") == [CONTENT]


def test_who_is_told_that_it_is_another_offset_hears_it_before_all_is_sent(server: ServerProcess) -> None:
    path = begin(server)
    headers = {**TUS, "Upload-Offset": "7", "Content-Type": "application/offset+octet-stream"}

    assert server.call("PATCH", path, data=CONTENT[7:], headers=headers).status_code == 409


def test_tuspy_uploads_in_pieces_and_goes_on(server: ServerProcess, source: Path) -> None:
    client = TusClient(f"{server.url}/HASTE/files/")
    said = {"filename": source.name, "stream_id": "tuspy", "job": "no"}
    with source.open("rb") as file:
        uploader = client.uploader(
            file_stream=file, chunk_size=1_000_000, metadata=said, upload_checksum=True
        )
        uploader.upload_chunk()
        resumed = client.uploader(file_stream=file, url=uploader.url, chunk_size=700_000)
        assert resumed.get_offset() == 1_000_000
        resumed.upload()

    assert landed(server, "tuspy") == [CONTENT]


def test_what_is_uploaded_as_the_documentation_says_is_scored_and_tiered(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "A01_s1.tif")
    monkeypatch.chdir(tmp_path)
    (program,) = (block.text for block in blocks_of("docs/uploads.md") if block.language == "python")
    names: dict[str, Any] = {}
    exec(program.replace("http://127.0.0.1:5510", server.url), names)

    job_id = server.call("GET", urlsplit(names["uploader"].url).path).json()["job_id"]
    job = server.wait_for_job(job_id)

    assert job["state"] == 200, job
    assert (job["stream_id"], job["source_id"]) == ("plate7", "A01_s1.tif")
    assert isinstance(job["response"]["focus-score"]["plls"], float)


def test_tuspy_goes_on_where_there_is_nothing_to_send(server: ServerProcess, source: Path) -> None:
    said = {"filename": source.name, "stream_id": "twice", "sha256": hashlib.sha256(CONTENT).hexdigest()}
    client = TusClient(f"{server.url}/HASTE/files/")
    for _ in range(2):
        with source.open("rb") as file:
            client.uploader(file_stream=file, metadata=said, retries=2, retry_delay=0).upload()

    assert len(server.call("GET", "/HASTE/jobs/?stream_id=twice").json()["jobs"]) == 1


@pytest.mark.parametrize("in_chunks", [False, True])
def test_the_original_agent_is_understood(server: ServerProcess, in_chunks: bool) -> None:
    headers = {
        "X-HASTE-original_filename": f"/Users/ben/source/{in_chunks}.png",
        "X-HASTE-tag": "lab1",
        "X-HASTE-unixtime": str(time.time()),
    }
    stream = "2019_03_29__11_18_21_lab1"
    image = iter([CONTENT[:HALF], CONTENT[HALF:]]) if in_chunks else CONTENT
    answer = requests.post(
        f"{server.url}/stream/{stream}", data=image, headers=headers, auth=("haste", "pass"), timeout=10
    )

    assert (answer.status_code, answer.json()) == (200, {"result": "OK!"})
    assert landed(server, stream) == [CONTENT]
    jobs = server.call("GET", f"/HASTE/jobs/?stream_id={stream}").json()["jobs"]
    assert f"Users/ben/source/{in_chunks}.png" in {job["source_id"] for job in jobs}


def test_an_image_of_the_agent_whose_connection_closes_in_the_middle_is_no_image(
    server: ServerProcess,
) -> None:
    address = urlsplit(server.url)
    lines = [
        "POST /stream/cut HTTP/1.1",
        f"Host: {address.netloc}",
        "X-HASTE-original_filename: /a/1.png",
        "X-HASTE-tag: lab1",
        f"Content-Length: {len(CONTENT)}",
    ]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + CONTENT[:HALF])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")

    assert landed(server, "cut") == []
    assert server.call("GET", "/HASTE/jobs/?stream_id=cut").json()["jobs"] == []


def memory_bytes(server: ServerProcess) -> int:
    """Return what the process that answers requests holds, and no page cache."""
    (web,) = server.children_of(server.process.pid)
    lines = (PROC / str(web) / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc")
@pytest.mark.parametrize(
    "size_bytes", [200 * MIB, pytest.param(4096 * MIB, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_memory_does_not_grow_with_the_file_and_others_are_answered_meanwhile(
    server: ServerProcess, tmp_path: Path, size_bytes: int
) -> None:
    sparse = tmp_path / "large.tif"
    with sparse.open("wb") as file:
        file.truncate(size_bytes)
    begin(server, length=5)  # what is loaded with the first upload, is
    before, most = memory_bytes(server), 0
    with HasteClient(server.url) as client:
        sending = threading.Thread(target=client.upload_file, args=("large", sparse.name, sparse))
        sending.start()
        while sending.is_alive():
            assert server.call("GET", "/HASTE/jobs/").status_code == 200
            most = max(most, memory_bytes(server))
            time.sleep(0.05)

    (file,) = server.data_dir.glob("landing/large/??/*")
    assert file.stat().st_size == size_bytes
    file.unlink()
    assert 0 < most < before + 50 * MIB


def test_after_a_kill_in_mid_file_the_rest_is_sent(server: ServerProcess, source: Path) -> None:
    """Stands last: the server is another one afterwards."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path = begin(server, filename=source.name, stream_id="killed", job="no", sha256=sha256)
    with send_part(server, path, CONTENT[:HALF]):
        wait_for(lambda: offset(server, path) > HALF - 100_000)
        server.kill_all()
    server.url_file.unlink()
    with running_server(server.data_dir, "--workers", "1") as restarted:
        restarted.wait_until_ready()
        assert offset(restarted, path) > HALF - 100_000
        with HasteClient(restarted.url) as client:
            place = client.upload_file("killed", source.name, source)

        assert place.sha256 == sha256
        assert landed(restarted, "killed") == [CONTENT]
        assert offset(restarted, path) == len(CONTENT)  # by the same upload

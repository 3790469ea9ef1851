"""Uploads with tus-js-client, which `make test-all` installs: node is no part of `make test`."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.documentation import REPOSITORY, blocks_of
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.integration.tcp_proxy import TcpProxy
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROC.is_dir(), reason="the server's processes are looked for in /proc"),
]

MODULES = REPOSITORY / ".venv/tus-js/node_modules"
PROGRAM = Path(__file__).with_name("tus_js") / "upload.js"
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("tus-js") / "data", "--workers", "1") as running:
        running.wait_until_ready()
        yield running


def node(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    assert MODULES.is_dir(), "run tools/install_tus_js.sh"
    environment = os.environ | {"NODE_PATH": str(MODULES)}
    command = ["node", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def said(program: subprocess.Popen[str]) -> str:
    with program:
        output, errors = program.communicate(timeout=120)
    assert program.returncode == 0, errors
    return output.strip()


def job_of(server: ServerProcess, url: str) -> int:
    return int(server.call("GET", urlsplit(url).path).json()["job_id"])


def test_what_is_uploaded_as_the_documentation_says_is_scored(server: ServerProcess, tmp_path: Path) -> None:
    write_image(tmp_path / "A01_s1.tif")
    (program,) = (block.text for block in blocks_of("docs/uploads.md") if block.language == "js")
    (tmp_path / "program.js").write_text(program.replace("http://127.0.0.1:5510", server.url))

    url = said(node("program.js", cwd=tmp_path))

    job = server.wait_for_job(job_of(server, url))
    assert (job["state"], job["stream_id"], job["source_id"]) == (200, "plate7", "A01_s1.tif")


@pytest.mark.parametrize("chunk_bytes", [0, 7 * MIB])
def test_an_upload_whose_connection_is_cut_goes_on_by_itself(
    server: ServerProcess, tmp_path: Path, chunk_bytes: int
) -> None:
    source = tmp_path / "large.bin"
    content = os.urandom(MIB) * 200
    source.write_bytes(content)
    uploads = server.data_dir / "landing" / ".uploads"
    proxy = TcpProxy(urlsplit(server.url).port or 0)
    stream = f"cut-{chunk_bytes}"
    try:
        metadata = json.dumps({"filename": "large.bin", "stream_id": stream, "job": "no"})
        endpoint = f"http://127.0.0.1:{proxy.port}/HASTE/files/"
        sending = node(PROGRAM, endpoint, source, metadata, chunk_bytes or "", cwd=tmp_path)
        for least_bytes in (20 * MIB, 100 * MIB):
            wait_for(lambda least=least_bytes: any(p.stat().st_size > least for p in uploads.glob("*.part")))
            assert proxy.cut() > 0
        url = said(sending)
    finally:
        proxy.close()

    assert server.call("GET", urlsplit(url).path).json()["is_finished"]
    (file,) = server.data_dir.glob(f"landing/{stream}/??/*")
    assert file.read_bytes() == content


def test_a_file_that_the_server_has_is_not_sent(server: ServerProcess, tmp_path: Path) -> None:
    image = tmp_path / "B01.tif"
    write_image(image, seed=1)
    endpoint = f"{server.url}/HASTE/files/"
    once = {"filename": "B01.tif", "stream_id": "twice"}
    first = said(node(PROGRAM, endpoint, image, json.dumps(once), cwd=tmp_path))
    sha256 = server.call("GET", urlsplit(first).path).json()["place"]["sha256"]

    second = said(node(PROGRAM, endpoint, image, json.dumps(once | {"sha256": sha256}), cwd=tmp_path))

    assert job_of(server, second) == job_of(server, first)

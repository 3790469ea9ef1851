"""Images submitted with what their names say, with a real server; nobody works on them."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from haste_client import HasteClient, UnparsedNamesError
from tests.e2e.haste_command import haste
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")

NAMES = ["p_A01_s1_w1.TIF", "p_A01_s1_w2.TIF", "p_AF48_s2_w1.TIF"]
SOURCES = [f"TimePoint_1/{name}" for name in NAMES]


@pytest.fixture
def named(root: Path, request: pytest.FixtureRequest) -> Path:
    folder = root / request.node.name.replace("[", "-").strip("]")
    for name in NAMES:
        write_image(folder / "TimePoint_1" / name)
        (folder / "TimePoint_1" / name.replace(".TIF", "_thumb.TIF")).write_bytes(b"II*\0")
    return folder


def submit(server: ServerProcess, folder: Path, *more: str) -> CompletedProcess[str]:
    arguments = ("submit", str(folder), "--site", "nowhere", "--names", "imagexpress", "--json", *more)
    return haste(*arguments, url=server.url, roots={"nas": folder.parent})


def test_what_names_say_becomes_the_jobs_metadata(client: HasteClient, named: Path) -> None:
    submission = client.submit_directory(named, site="nowhere", names="imagexpress")
    jobs = {job.source_id: job for job in client.jobs(stream_id=named.name)}
    assert sorted(jobs) == SOURCES
    last = jobs[SOURCES[2]]
    assert last.metadata == {"plate": "p", "well": "AF48", "site": 2, "channel": "1", "t": 1}
    assert (last.substream_id, last.location) == ("AF48", (32, 48))
    assert submission.named
    assert [file.name.channel for file in submission.named.files if file.name] == ["1", "2", "1"]
    assert len(submission.named.ignored) == 3
    assert client.submit_directory(named, site="nowhere", names="imagexpress").new_jobs == 0


def test_the_library_submits_nothing_if_names_are_not_understood(client: HasteClient, named: Path) -> None:
    write_image(named / "notes.tif")
    with pytest.raises(UnparsedNamesError, match=r"^notes\.tif: does not fit"):
        client.submit_directory(named, site="nowhere", names="imagexpress")
    assert named.name not in {stream.stream_id for stream in client.streams()}


def test_the_command_submits_nothing_unless_told_what_to_do(
    server: ServerProcess, client: HasteClient, named: Path
) -> None:
    write_image(named / "notes.tif")
    stopped = submit(server, named)
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert "not understood: notes.tif: does not fit the names of imagexpress" in stopped.stderr
    assert "nothing was submitted: the names of 1 of 4 images are not understood" in stopped.stderr
    assert named.name not in {stream.stream_id for stream in client.streams()}

    skipped = submit(server, named, "--unparsed", "skip")
    assert skipped.returncode == 0, skipped.stderr
    assert skipped.stderr.index("not understood: notes.tif") < skipped.stderr.index("3 new images")
    assert sorted(job.source_id for job in client.jobs(stream_id=named.name)) == SOURCES

    included = submit(server, named, "--unparsed", "include")
    assert included.returncode == 0, included.stderr
    (job,) = client.jobs(stream_id=named.name, source_id="notes.tif")
    assert (job.metadata, job.substream_id, job.location) == ({}, None, ())
    assert json.loads(included.stdout)["new"] == 1


def test_a_watch_reads_names_too(server: ServerProcess, client: HasteClient, named: Path) -> None:
    arguments = ["watch", str(named), "--once", "--settle", "0.1", "--site", "nowhere", "--json"]
    own = ["--names", r"p_(?P<well>[A-Z]+\d\d)_s(?P<site>\d)_w(?P<channel>\d)\.tif$"]
    stopped = haste(*arguments, *own, url=server.url, roots={"nas": named.parent})
    assert stopped.returncode == 1
    assert stopped.stderr.count("not understood: TimePoint_1/p_A01_s1_w1_thumb.TIF") == 1
    assert "nothing was submitted: the names of 3 of 6 images" in stopped.stderr

    skipped = haste(*arguments, *own, "--unparsed", "skip", url=server.url, roots={"nas": named.parent})
    assert skipped.stderr.count("not understood: TimePoint_1/p_A01_s1_w1_thumb.TIF") == 1
    assert sorted(json.loads(line)["source_id"] for line in skipped.stdout.splitlines()) == SOURCES
    (job,) = client.jobs(stream_id=named.name, source_id=SOURCES[1])
    assert job.metadata == {"plate": named.name, "well": "A01", "site": 1, "channel": "2"}

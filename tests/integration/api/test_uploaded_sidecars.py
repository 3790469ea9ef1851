"""Sidecars that are uploaded before their objects, and the jobs that name them."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from haste_core.routing import Roots
from haste_server.gateway.landing import FolderLandingArea
from haste_server.gateway.superseded import GRACE_S, LandingSweep
from tests.integration.api.conftest import Api
from tests.integration.api.tus import Tus, unfinished

STREAM = {"stream_id": "plate7"}
MDOC = b"PixelSpacing = 1.35\n"
IMAGE = os.urandom(50_000)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def note(name: str, content: bytes = MDOC) -> dict[str, str]:
    return {"name": name, "sha256": sha256_of(content)}


class Sender:
    """Sends as the agent does: sidecars first, then their object."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tus = Tus(api)

    def send(self, content: bytes, **said: Any) -> Any:
        begun = self.tus.create(len(content), sha256=sha256_of(content), **STREAM | said)
        assert begun.status_code == 201, begun.text
        offset = int(begun.headers["Upload-Offset"])
        if offset == len(content):
            return begun
        answer = self.tus.patch(begun.headers["Location"], content[offset:], offset)
        assert answer.status_code == 204, answer.text
        return answer

    def sidecar(self, name: str = "A01.tif.mdoc", content: bytes = MDOC) -> str:
        answer = self.send(content, filename=name, sidecar="yes")
        assert "HASTE-Job-Id" not in answer.headers
        return str(json.loads(answer.headers["HASTE-Place"])["url"])

    def image(self, *names: str, content: bytes = IMAGE, **said: Any) -> dict[str, Any]:
        fields = {"filename": "A01.tif", "sidecars": [note(name) for name in names], **said}
        answer = self.send(content, **fields)
        job: dict[str, Any] = self.api.client.get(f"/HASTE/job/{answer.headers['HASTE-Job-Id']}").json
        return job

    def file_of(self, url: str) -> Path:
        return Path(Roots.parse({"landing": self.api.landing_folder}).path_of(url))


@pytest.fixture
def sender(api: Api) -> Sender:
    return Sender(api)


def jobs(api: Api) -> list[dict[str, Any]]:
    return list(api.client.get("/HASTE/jobs/").json["jobs"])


@pytest.mark.parametrize("name", ["A01.tif.mdoc", "A 01 #é%41.xml", "plate7.HTD", ".hidden.xml"])
def test_a_sidecar_keeps_its_name_and_is_its_objects(sender: Sender, api: Api, name: str) -> None:
    url = sender.sidecar(name)
    assert jobs(api) == []
    assert sender.file_of(url).name == name
    assert sender.file_of(url).read_bytes() == MDOC

    job = sender.image(name)

    assert job["sidecars"] == [url]
    assert job["metadata"] == {"filename": "A01.tif"}
    assert [one["job_id"] for one in jobs(api)] == [job["job_id"]]


def test_a_sidecar_that_says_job_is_none(sender: Sender, api: Api) -> None:
    sender.send(MDOC, filename="a.xml", sidecar="yes", job="yes", source_id="a.xml")
    assert jobs(api) == []


def test_an_object_waits_for_its_sidecars(sender: Sender, api: Api) -> None:
    sender.sidecar("b.xml")
    answer = sender.tus.create(
        len(IMAGE), filename="A01.tif", sidecars=[note("a.xml"), note("b.xml")], **STREAM
    )
    assert answer.status_code == 400
    assert "a.xml: not here yet; send it first" in answer.text
    assert jobs(api) == []
    assert len(unfinished(api)) == 1  # the sidecar's record
    sender.sidecar("a.xml")
    assert len(sender.image("a.xml", "b.xml")["sidecars"]) == 2


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../a.xml",
            "a/b.xml",
            "/etc/passwd",
            "..\\a.xml",
            "C:\\a.xml",
            "a:b.xml",
            "con.xml",
        ),
        *("a.xml ", "a.xml.", "a\nb.xml", "a\x7f.xml", "x" * 201, "\u202ea.xml"),
    ],
)
def test_hostile_names_are_refused(sender: Sender, api: Api, name: str) -> None:
    before = sorted(api.landing_folder.rglob("*"))
    as_sidecar = sender.tus.create(4, filename=name, sidecar="yes", sha256=sha256_of(b"abcd"), **STREAM)
    as_note = sender.tus.create(4, filename="A01.tif", sidecars=[note(name)], **STREAM)
    for answer in (as_sidecar, as_note):
        assert answer.status_code == 400, answer.text
        assert "is no name for a sidecar" in answer.text
    assert sorted(api.landing_folder.rglob("*")) == before


@pytest.mark.parametrize(
    "said",
    [
        {"sidecars": "{"},
        {"sidecars": "7"},
        {"sidecars": [{"name": "a.xml"}]},
        {"sidecars": [{"name": "a.xml", "sha256": "0"}]},
        {"sidecars": [note("a.xml", bytes([number])) for number in range(17)]},
        {"sidecars": [note("a.xml"), note("a.xml", b"another")]},
        {"sidecars": [note("a.xml")], "sidecar": "yes"},
        {"sidecar": "maybe"},
    ],
)
def test_what_makes_no_sense_is_refused(sender: Sender, said: dict[str, Any]) -> None:
    answer = sender.tus.create(4, **{"filename": "A01.tif", **STREAM, **said})
    assert answer.status_code == 400
    assert "Upload-Metadata.sidecar" in answer.text


def test_a_sidecar_that_changes_alone_makes_no_new_job(sender: Sender, api: Api) -> None:
    old = sender.sidecar()
    first = sender.image("A01.tif.mdoc")
    new = sender.sidecar(content=b"PixelSpacing = 2.70\n")
    assert sender.file_of(old).read_bytes() == MDOC
    assert sender.file_of(new).read_bytes() == b"PixelSpacing = 2.70\n"
    again = sender.image(sidecars=[note("A01.tif.mdoc", b"PixelSpacing = 2.70\n")])
    assert (again["job_id"], again["sidecars"]) == (first["job_id"], [old])
    assert len(jobs(api)) == 1


def test_equal_images_have_sidecars_of_their_own(sender: Sender) -> None:
    first, second = sender.sidecar("A01.xml"), sender.sidecar("A02.xml", b"another")
    one = sender.image("A01.xml")
    other = sender.image(filename="A02.tif", sidecars=[note("A02.xml", b"another")])
    assert one["source_url"] == other["source_url"]
    assert (one["sidecars"], other["sidecars"]) == ([first], [second])


def test_a_sidecar_that_is_here_is_not_sent_again(sender: Sender) -> None:
    sender.sidecar()
    begun = sender.tus.create(
        len(MDOC), filename="A01.tif.mdoc", sidecar="yes", sha256=sha256_of(MDOC), **STREAM
    )
    assert int(begun.headers["Upload-Offset"]) == len(MDOC)


def test_sidecars_stay_when_the_landing_area_is_swept(sender: Sender, api: Api) -> None:
    url = sender.sidecar()
    sender.image("A01.tif.mdoc")
    long_ago = time.time() - 2 * GRACE_S
    os.utime(sender.file_of(url), (long_ago, long_ago))
    area = FolderLandingArea(api.landing_folder, site="lab1")
    sweep = LandingSweep(jobs=api.store, streams=api.store, originals=api.store, landing=area)
    assert sweep.sweep() == 0
    assert sender.file_of(url).read_bytes() == MDOC

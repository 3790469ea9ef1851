"""Uploads through the API."""

import base64
import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from haste_core.messages import Place
from haste_server.gateway.landing import FolderLandingArea
from tests.integration.api.conftest import LIMITS, Api

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def digest_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_uploaded_file_lies_under_its_digest(api: Api) -> None:
    answer = api.put("well A01/s1.TIF", CONTENT, digest_of(CONTENT))

    assert answer.status_code == 201
    relative = f"plate7/{SHA256[:2]}/{SHA256}.tif"
    assert answer.json == {
        "place": {
            "url": f"root://landing/{relative}",
            "site": "lab1",
            "sha256": SHA256,
            "size_bytes": len(CONTENT),
        }
    }
    assert (api.landing_folder / relative).read_bytes() == CONTENT


def test_the_same_content_again_changes_nothing(api: Api) -> None:
    first = api.put("a.tif", CONTENT, digest_of(CONTENT))
    (stored,) = files_below(api.landing_folder)
    before = stored.stat()

    again = api.put("b.tif", CONTENT, digest_of(CONTENT))

    assert again.status_code == 200
    assert again.json == first.json
    assert files_below(api.landing_folder) == [stored]
    assert stored.stat().st_ino == before.st_ino  # not written again, only marked as used


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT + b"x", b""])
def test_other_content_than_announced_is_refused_and_leaves_nothing(api: Api, sent: bytes) -> None:
    answer = api.put("a.tif", sent, digest_of(CONTENT))

    assert answer.status_code == 400
    assert answer.json["problems"][0]["where"] == "Repr-Digest"
    assert files_below(api.landing_folder) == []


@pytest.mark.parametrize("digest", ["", "md5=:abc=:", "sha-256=abc", f"sha-256=:{'A' * 42}=:"])
def test_an_odd_digest_is_refused(api: Api, digest: str) -> None:
    assert api.put("a.tif", CONTENT, digest).status_code == 400


def test_the_digest_is_required(api: Api) -> None:
    answer = api.client.put("/HASTE/files/plate7/a.tif", data=CONTENT)

    assert answer.json["problems"] == [{"where": "Repr-Digest", "what": "is required"}]


def test_other_digests_may_stand_beside_it(api: Api) -> None:
    assert api.put("a.tif", CONTENT, f"sha-512=:AAAA:, {digest_of(CONTENT)}").status_code == 201


def test_a_file_beyond_the_limit_is_refused(api: Api) -> None:
    content = bytes(LIMITS.upload_bytes + 1)

    answer = api.put("a.tif", content, digest_of(content))

    assert answer.status_code == 413
    assert files_below(api.landing_folder) == []


@pytest.mark.parametrize("stream", ["..", ".hidden", "a b", "%2e%2e", "x" * 101])
def test_odd_streams_get_nothing(api: Api, stream: str) -> None:
    answer = api.put("a.tif", CONTENT, digest_of(CONTENT), stream=stream)

    assert answer.status_code in (400, 404)
    assert not api.landing_folder.exists()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such(api: Api, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def full(*_: object, **__: object) -> tuple[Place, bool]:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(FolderLandingArea, "receive", full)

    answer = api.put("a.tif", CONTENT, digest_of(CONTENT))

    assert answer.status_code == 507
    assert "free some space" in answer.json["detail"]


def test_uploads_beyond_the_limit_are_put_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: object, **__: object) -> tuple[Place, bool]:
        inside.release()
        go_on.wait(10)
        return Place(url="root://landing/x", site="lab1"), True

    monkeypatch.setattr(FolderLandingArea, "receive", slow)
    statuses: list[int] = []

    def upload() -> None:
        statuses.append(api.put("a.tif", CONTENT, digest_of(CONTENT)).status_code)

    uploads = [threading.Thread(target=upload) for _ in range(LIMITS.uploads)]
    for thread in uploads:
        thread.start()
    for _ in uploads:
        inside.acquire(timeout=10)
    refused = api.put("b.tif", CONTENT, digest_of(CONTENT))
    go_on.set()
    for thread in uploads:
        thread.join()

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert statuses == [201] * LIMITS.uploads
    assert api.put("b.tif", CONTENT, digest_of(CONTENT)).status_code == 201

"""Uploads that come too many at a time, or where the landing area is away or full."""

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from haste_server.gateway import uploads as gateway
from tests.integration.api.conftest import LIMITS, Api
from tests.integration.api.tus import CONTENT, HALF, SHA256, Tus, landed, unfinished


@pytest.fixture
def stuck(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Let uploads hang as on a slow connection; acquire to wait for one that hangs."""
    inside, go_on = threading.Semaphore(0), threading.Event()
    receive = gateway.receive

    def slow(*arguments: Any, **options: Any) -> str | None:
        inside.release()
        go_on.wait(10)
        return receive(*arguments, **options)

    monkeypatch.setattr(gateway, "receive", slow)
    inside.go_on = go_on  # type: ignore[attr-defined]
    yield inside
    go_on.set()


def test_uploads_beyond_the_limit_are_put_off(tus: Tus, api: Api, stuck: threading.Semaphore) -> None:
    urls = [tus.begin() for _ in range(LIMITS.uploads)]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda url=url: statuses.append(tus.patch(url, CONTENT, 0).status_code))
        for url in urls
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        stuck.acquire(timeout=10)
    another = tus.begin()
    refused = tus.patch(another, CONTENT, 0)
    held = tus.patch(urls[0], CONTENT, 0)
    alive = tus.offset(another)  # everything else goes on
    stuck.go_on.set()  # type: ignore[attr-defined]
    for thread in threads:
        thread.join()

    assert refused.status_code == held.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert alive == 0
    assert statuses == [204] * LIMITS.uploads
    assert tus.patch(another, CONTENT, 0).status_code == 204


def test_a_creation_whose_piece_must_wait_leaves_nothing(
    tus: Tus, api: Api, stuck: threading.Semaphore
) -> None:
    threads = [
        threading.Thread(target=tus.patch, args=(tus.begin(), CONTENT, 0)) for _ in range(LIMITS.uploads)
    ]
    for thread in threads:
        thread.start()
        stuck.acquire(timeout=10)
    before = unfinished(api)
    answer = tus.call("POST", body=CONTENT, Upload_Length=len(CONTENT))
    after = unfinished(api)
    stuck.go_on.set()  # type: ignore[attr-defined]
    for thread in threads:
        thread.join()

    assert answer.status_code == 503
    assert after == before


@pytest.mark.parametrize("error", [errno.EROFS, errno.ESTALE, errno.EIO, errno.EMFILE])
def test_a_landing_area_that_is_away_is_an_outage_and_the_upload_goes_on_later(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    url = tus.begin()

    def away(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as context:
        context.setattr("haste_server.gateway.receiving._write", away)
        answer = tus.patch(url, CONTENT, 0)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert os.strerror(error) in answer.json["detail"]
    assert tus.patch(url, CONTENT, tus.offset(url)).status_code == 204


def test_where_the_landing_folder_was_removed_senders_begin_anew(tus: Tus, api: Api) -> None:
    said = {"filename": "A01.tif", "stream_id": "plate7", "sha256": SHA256}
    url = tus.begin(**said)
    tus.patch(url, CONTENT[:HALF], 0)
    shutil.rmtree(api.landing_folder)

    assert tus.patch(url, CONTENT[HALF:], HALF).status_code == 404
    again = tus.create(**said)
    assert again.headers["Upload-Offset"] == "0"
    assert tus.patch(again.headers["Location"], CONTENT, 0).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_told_as_such_and_the_upload_goes_on_later(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT[:HALF], 0)

    def full(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as context:
        context.setattr("haste_server.gateway.receiving._write", full)
        assert tus.patch(url, CONTENT[HALF:], HALF).status_code == 507

    assert tus.patch(url, CONTENT[HALF:], tus.offset(url)).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT

"""What becomes of uploads that nobody goes on with, and of those that are finished."""

import os

import pytest

from haste_core.errors import InvalidError, Problem, TransientError
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.upload_records import FINISHED_KEPT_S
from tests.integration.api.conftest import KEEP_S, Api
from tests.integration.api.tus import CONTENT, HALF, SHA256, Tus, landed, unfinished


def test_who_expires_is_told_so_and_then_removed(tus: Tus, api: Api) -> None:
    url = tus.begin(sha256=SHA256)
    tus.patch(url, CONTENT[:HALF], 0)
    part = next(path for path in unfinished(api) if path.suffix == ".part")
    os.utime(part, (api.now, api.now))
    api.now += KEEP_S + 1

    assert tus.call("HEAD", url).status_code == 410
    assert tus.patch(url, CONTENT[HALF:], HALF).status_code == 410
    api.uploads.sweep()
    assert tus.call("HEAD", url).status_code == 404
    assert unfinished(api) == []
    assert tus.begin(sha256=SHA256) == url  # begun anew
    assert tus.offset(url) == 0


def test_what_has_arrived_is_finished_however_long_the_server_was_away(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise TransientError("the database is not available")

    urls = [tus.begin(stream_id="plate7", filename=name) for name in ("A01.tif", "A02.tif")]
    with monkeypatch.context() as context:
        context.setattr(Arrivals, "submit", away)
        for url in urls:
            assert tus.patch(url, CONTENT, 0).status_code == 503
        api.now += 2 * KEEP_S
        api.uploads.sweep()

    assert tus.call("HEAD", urls[0]).headers["HASTE-Job-Id"]
    api.uploads.sweep()
    assert len(api.client.get("/HASTE/jobs/").json["jobs"]) == 2


def test_what_can_never_be_finished_is_removed_when_it_expires(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise InvalidError([Problem("tasks", "cannot be")])

    monkeypatch.setattr(Arrivals, "submit", refused)
    url = tus.begin(stream_id="plate7", filename="A01.tif")
    assert tus.patch(url, CONTENT, 0).status_code == 400
    api.uploads.sweep()
    assert tus.call("HEAD", url).status_code == 400
    api.now += KEEP_S + 1

    api.uploads.sweep()

    assert unfinished(api) == []
    assert landed(api)[0].read_bytes() == CONTENT


def test_a_finished_upload_is_remembered_for_a_while(tus: Tus, api: Api) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT, 0)
    api.uploads.sweep()
    assert tus.offset(url) == len(CONTENT)
    api.now += FINISHED_KEPT_S + 1

    api.uploads.sweep()

    assert unfinished(api) == []
    assert landed(api)[0].read_bytes() == CONTENT

"""Answers that say what somebody knows already are not sent again."""

from pathlib import Path

import pytest

from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api, spec

TOKEN = "a token of some length"


@pytest.fixture
def plate(api: Api) -> Api:
    """Return the API with a stream of one job."""
    api.client.post("/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "focus-tier"})
    api.submit(stream_id="plate7")
    return api


@pytest.mark.parametrize(
    "path",
    [
        "/HASTE/stream/",
        "/HASTE/stream/plate7",
        "/HASTE/stream/plate7/images",
        "/HASTE/stream/plate7/decisions",
        "/HASTE/stream/plate7/sources?limit=10",
        "/HASTE/jobs/?stream_id=plate7",
        "/HASTE/job/1",
        "/HASTE/pipelines/",
        "/openapi/openapi.json",
    ],
)
def test_an_answer_is_sent_once(plate: Api, path: str) -> None:
    first = plate.client.get(path)
    tag = first.headers["ETag"]
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "private, no-cache")

    for shown in (tag, f'"other", {tag}', f"W/{tag}"):
        again = plate.client.get(path, headers={"If-None-Match": shown})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert plate.client.get(path, headers={"If-None-Match": '"other"'}).data == first.data
    assert plate.client.head(path).headers["ETag"] == tag


def test_what_has_changed_is_sent(plate: Api) -> None:
    tag = plate.client.get("/HASTE/stream/plate7").headers["ETag"]
    plate.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"})

    changed = plate.client.get("/HASTE/stream/plate7", headers={"If-None-Match": tag})

    assert (changed.status_code, changed.json["mode"]) == (200, "enforce")
    assert changed.headers["ETag"] != tag


def test_a_tag_lets_nobody_in(store: SqlStore, tmp_path: Path) -> None:
    guarded = Api(store, tmp_path / "landing", token=TOKEN)
    own = {"Authorization": f"Bearer {TOKEN}"}
    guarded.client.post("/HASTE/job/", json=spec(stream_id="plate7"), headers=own)
    tag = guarded.client.get("/HASTE/stream/plate7", headers=own).headers["ETag"]
    store.add_token(NewToken("other", (Scope.READ,), ("b",)), sha256_of("other"), now=guarded.now)

    for headers, status in (({}, 401), ({"Authorization": "Bearer other"}, 404)):
        answer = guarded.client.get("/HASTE/stream/plate7", headers={"If-None-Match": tag, **headers})
        assert answer.status_code == status
        assert "ETag" not in answer.headers


def test_others_have_none(plate: Api) -> None:
    for path in ("/HASTE/workers/", "/healthz", "/HASTE/job/99"):
        assert "ETag" not in plate.client.get(path).headers


def test_the_document_tells(plate: Api) -> None:
    described = plate.client.get("/openapi/openapi.json").json["paths"]["/HASTE/stream/{stream_id}"]["get"]

    assert "304" in described["responses"]
    (header,) = [one for one in described["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("If-None-Match", False)

"""What the original HASTE agent sends, header by header."""

import base64
import hashlib
import io
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import LIMITS, NOW, Api
from tests.integration.api.tus import BreakingOff

TOKEN = "a token of some length"
STREAM = "2019_03_29__11_18_21_lab1"
IMAGE = b"\x89PNG pixels"
HEADERS = {
    "X-HASTE-original_filename": "/Users/ben/source/A01_s1.png",
    "X-HASTE-tag": "lab1",
    "X-HASTE-unixtime": "1553854702.123",
}


def send(
    api: Api, headers: dict[str, str] | None = None, *, path: str = f"/stream/{STREAM}", image: bytes = IMAGE
) -> TestResponse:
    said = HEADERS if headers is None else headers
    return api.client.post(path, data=image, headers=said)


def jobs(api: Api) -> list[dict[str, object]]:
    return api.client.get("/HASTE/jobs/").json["jobs"]


@pytest.mark.parametrize("path", [f"/stream/{STREAM}", f"/HASTE/stream/{STREAM}"])
def test_an_image_becomes_a_job_of_the_tags_pipeline(api: Api, path: str) -> None:
    answer = send(api, path=path)

    assert (answer.status_code, answer.json) == (200, {"result": "OK!"})
    (job,) = jobs(api)
    sha256 = hashlib.sha256(IMAGE).hexdigest()
    expected = {
        "stream_id": STREAM,
        "source_id": "Users/ben/source/A01_s1.png",
        "source_version": sha256,
        "source_url": f"root://landing/{STREAM}/{sha256[:2]}/{sha256}.png",
        "timestamp": 1553854702.123,
    }
    assert {name: job[name] for name in expected} == expected
    assert job["metadata"]["tag"] == "lab1"
    assert job["metadata"]["original_filename"] == HEADERS["X-HASTE-original_filename"]
    stream = api.client.get(f"/HASTE/stream/{STREAM}").json
    assert (stream["pipeline"]["name"], stream["mode"]) == ("full", "observe")
    assert next(api.landing_folder.glob("*/??/*.png")).read_bytes() == IMAGE
    assert api.wakes == 1


def test_what_is_sent_again_is_there(api: Api) -> None:
    assert [send(api).status_code for _ in range(2)] == [200, 200]
    assert len(jobs(api)) == 1


def test_same_names_in_two_folders_and_new_versions_are_told_apart(api: Api) -> None:
    for number, name in enumerate(["/a/1.png", "/b/1.png", r"C:\Data\1.png", "..\\..\\1.png"]):
        assert send(api, HEADERS | {"X-HASTE-original_filename": name}).status_code == 200
        assert len(jobs(api)) == number + 1
    assert send(api, HEADERS | {"X-HASTE-original_filename": "/a/1.png"}, image=b"other").status_code == 200

    names = sorted(str(job["source_id"]) for job in jobs(api))
    assert names == ["1.png", "Data/1.png", "a/1.png", "a/1.png", "b/1.png"]


def test_other_alphabets_and_long_paths_are_taken(api: Api) -> None:
    long = "/" + "folder/" * 60 + "Zelle é.png"
    raw = {
        name: value.encode().decode("latin-1") for name, value in {"X-HASTE-original_filename": long}.items()
    }
    answer = send(api, HEADERS | raw | {"X-HASTE-tag": "lab 2 é".encode().decode("latin-1")})

    assert answer.status_code == 200, answer.text
    (job,) = jobs(api)
    assert str(job["source_id"]).endswith("folder/Zelle é.png")
    assert len(str(job["source_id"])) <= 255
    assert job["metadata"]["original_filename"] == long


def test_what_was_changed_of_the_stream_since_stays(api: Api) -> None:
    send(api)
    api.client.post(f"/HASTE/stream/{STREAM}/mode", json={"mode": "enforce"})

    assert send(api, image=b"another").status_code == 200
    assert api.client.get(f"/HASTE/stream/{STREAM}").json["mode"] == "enforce"


def test_an_unknown_tag_is_refused_with_what_to_do(api: Api) -> None:
    answer = send(api, HEADERS | {"X-HASTE-tag": "lab9"})

    assert answer.status_code == 412
    assert "agent_tags" in answer.json["detail"]
    assert (jobs(api), list(api.landing_folder.glob("**/*.png"))) == ([], [])


def test_odd_requests_are_refused(api: Api) -> None:
    for name in ("X-HASTE-original_filename", "X-HASTE-tag"):
        without = {key: value for key, value in HEADERS.items() if key != name}
        answer = send(api, without)
        assert answer.status_code == 400
        assert answer.json["problems"] == [{"where": name, "what": "is required"}]
    for odd in (
        {"X-HASTE-unixtime": "yesterday"},
        {"X-HASTE-unixtime": "nan"},
        {"X-HASTE-original_filename": "/"},
        {"X-HASTE-original_filename": "x" * 2000},
    ):
        assert send(api, HEADERS | odd).status_code == 400
    assert send(api, path="/stream/..%2fup").status_code in (400, 404)
    assert send(api, path="/stream/a b").status_code == 400
    assert jobs(api) == []


def test_an_image_beyond_the_limit_is_refused_and_leaves_nothing(api: Api) -> None:
    assert send(api, image=bytes(LIMITS.upload_bytes + 1)).status_code == 413
    chunks = api.client.post(
        f"/stream/{STREAM}",
        input_stream=io.BytesIO(bytes(LIMITS.upload_bytes + 1)),
        headers=HEADERS,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert chunks.status_code == 413
    assert [path for path in api.landing_folder.glob("**/*") if path.is_file()] == []


def test_an_image_that_breaks_off_leaves_nothing(api: Api) -> None:
    answer = api.client.post(
        f"/stream/{STREAM}",
        input_stream=BreakingOff(IMAGE),
        headers=HEADERS,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 400
    assert [path for path in api.landing_folder.glob("**/*") if path.is_file()] == []
    assert jobs(api) == []


def test_an_image_of_which_the_end_is_missing_leaves_nothing(api: Api) -> None:
    answer = api.client.post(
        f"/stream/{STREAM}",
        input_stream=io.BytesIO(IMAGE[:-3]),
        headers=HEADERS,
        # The web server says that it ends bodies by itself, and then takes a closed connection for their end.
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(IMAGE))},
    )
    assert answer.status_code == 400
    assert f"after {len(IMAGE) - 3} of {len(IMAGE)} bytes" in answer.json["detail"]
    assert [path for path in api.landing_folder.glob("**/*") if path.is_file()] == []
    assert jobs(api) == []


def test_what_cannot_be_taken_makes_no_stream(api: Api) -> None:
    assert send(api, HEADERS | {"X-HASTE-original_filename": "/"}).status_code == 400
    assert api.client.get(f"/HASTE/stream/{STREAM}").status_code == 404


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'haste:{password}'.encode()).decode()}"}


def test_the_password_is_the_servers_token(guarded: Api) -> None:
    for shown in (
        {},
        basic("guess"),
        basic(""),
        {"Authorization": "Basic ?"},
        {"Authorization": "Digest x=1"},
    ):
        answer = send(guarded, HEADERS | shown)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="HASTE Cloud"'
    for shown in (basic(TOKEN), {"Authorization": f"Bearer {TOKEN}"}):
        assert send(guarded, HEADERS | shown).status_code == 200
    # It opens nothing else.
    assert guarded.client.get("/HASTE/jobs/", headers=basic(TOKEN)).status_code == 401


def test_without_a_send_time_the_image_is_taken_all_the_same(api: Api) -> None:
    assert send(api, {key: HEADERS[key] for key in list(HEADERS)[:2]}).status_code == 200
    assert jobs(api)[0]["timestamp"] is None
    assert jobs(api)[0]["created_at"] == NOW

"""What the uploads of one token may hold in the landing area."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from haste_core.errors import TransientError
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_core.uploads import metadata_header
from haste_server.api.problems import CONTENT_TYPE
from haste_server.gateway.upload_records import FINISHED_KEPT_S
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import KEEP_S, Api

TOKEN = "a token of some length"
LIMIT = 1000
NAME = "lab1-pc"
CONTENT = bytes(600)
AGENT_HEADERS = {
    "Authorization": f"Bearer {NAME}",
    "X-HASTE-tag": "lab1",
    "X-HASTE-unixtime": "1553854702.123",
}


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    """Return a server that knows a token with a quota, and one with none."""
    made = Api(store, tmp_path / "landing", token=TOKEN)
    for name, limit in ((NAME, LIMIT), ("free", None)):
        wanted = NewToken(name, (Scope.SUBMIT,), upload_quota_bytes=limit)
        store.add_token(wanted, sha256_of(name), now=made.now)
    return made


def call(api: Api, method: str, path: str, *, token: str = NAME, body: Any = None, **headers: Any) -> Any:
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    if body is not None:
        named["Content-Type"] = "application/offset+octet-stream"
    named |= {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {token}"}
    return api.client.open(path, method=method, headers=named, data=body)


def create(api: Api, size_bytes: int, *, token: str = NAME, **said: Any) -> TestResponse:
    header = metadata_header(said)
    return call(api, "POST", "/HASTE/files/", token=token, Upload_Length=size_bytes, Upload_Metadata=header)


def patch(api: Api, url: str, body: bytes, offset: int = 0) -> TestResponse:
    return call(api, "PATCH", url, body=body, Upload_Offset=offset)


def send(api: Api, content: bytes, **said: Any) -> str:
    """Send a file, and return the name of its upload."""
    url = create(api, len(content), **said).headers["Location"]
    assert patch(api, url, content).status_code == 204
    return url.rpartition("/")[2]


def held(api: Api) -> int:
    (token,) = (item for item in api.store.tokens(cursor=None, limit=9).items if item.name == NAME)
    return token.upload_held_bytes


def landed(api: Api) -> list[Path]:
    return [path for path in api.landing_folder.glob("[!.]*/??/*") if path.is_file()]


def test_beyond_the_quota_nothing_is_begun_and_who_can_help_is_said(api: Api) -> None:
    assert create(api, 600).status_code == 201

    refused = create(api, 401)
    with_first_piece = call(api, "POST", "/HASTE/files/", body=bytes(401), Upload_Length=401)

    for answer in (refused, with_first_piece):
        assert (answer.status_code, answer.content_type) == (507, CONTENT_TYPE)
        assert "ask whoever runs the server to make room there" in answer.json["detail"]
    assert held(api) == 600
    assert len(list(api.landing_folder.glob(".uploads/*.upload"))) == 1
    assert create(api, 400).status_code == 201


def test_a_file_that_never_finds_room_is_too_large(api: Api) -> None:
    answer = create(api, LIMIT + 1)

    assert answer.status_code == 413
    assert "a token with a higher upload quota" in answer.json["detail"]
    assert create(api, LIMIT).status_code == 201


def test_tokens_without_a_quota_and_that_of_the_settings_take_what_the_disk_takes(api: Api) -> None:
    for token in ("free", TOKEN):
        for _ in range(2):
            assert create(api, LIMIT, token=token).status_code == 201

    assert held(api) == 0
    assert api.store.held(cursor=None, limit=9).items == []


def test_what_has_landed_counts_until_its_file_is_gone(api: Api) -> None:
    send(api, CONTENT)
    api.now += FINISHED_KEPT_S + 1
    api.uploads.sweep()
    api.uploads.room.release_removed()
    assert held(api) == 600
    assert create(api, 600).status_code == 507

    landed(api)[0].unlink()
    api.uploads.room.release_removed()

    assert held(api) == 0
    assert create(api, 600).status_code == 201


@pytest.mark.parametrize("folder", ["landing", ".uploads"])
def test_while_the_folder_is_away_what_was_in_it_counts(api: Api, folder: str) -> None:
    send(api, CONTENT)
    away = api.landing_folder if folder == "landing" else api.landing_folder / folder
    landed(api)[0].rename(api.landing_folder.parent / "elsewhere")
    shutil.rmtree(away)

    api.uploads.room.release_removed()

    assert held(api) == 600


def test_uploads_that_come_to_nothing_count_no_more(api: Api) -> None:
    removed = create(api, 300).headers["Location"]
    create(api, 300)
    damaged = create(api, 300, sha256=hashlib.sha256(b"another").hexdigest()).headers["Location"]
    assert held(api) == 900

    assert call(api, "DELETE", removed).status_code == 204
    assert held(api) == 600
    assert patch(api, damaged, bytes(300)).status_code == 460
    assert held(api) == 300
    api.now += KEEP_S + 1
    api.uploads.sweep()

    assert held(api) == 0


def test_an_upload_that_is_gone_on_with_counts_once(api: Api) -> None:
    said = {"sha256": hashlib.sha256(CONTENT).hexdigest()}
    url = create(api, 600, **said).headers["Location"]
    patch(api, url, CONTENT[:200])

    again = create(api, 600, **said)
    assert (again.status_code, again.headers["Location"]) == (201, url)
    assert again.headers["Upload-Offset"] == "200"
    assert held(api) == 600
    assert patch(api, url, CONTENT[200:], 200).status_code == 204
    assert held(api) == 600


def test_one_that_has_expired_is_begun_anew_and_counts_once(api: Api) -> None:
    said = {"sha256": hashlib.sha256(CONTENT).hexdigest()}
    create(api, 600, **said)
    api.now += KEEP_S + 1

    assert create(api, 600, **said).status_code == 201
    assert held(api) == 600


def test_what_the_server_has_needs_no_room(api: Api) -> None:
    said = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "stream_id": "plate7", "job": "no"}
    send(api, CONTENT, **said)

    again = create(api, 600, **said)

    assert (again.status_code, again.headers["Upload-Offset"]) == (201, "600")
    assert held(api) == 600


def test_a_file_that_is_sent_twice_without_its_digest_counts_once(api: Api) -> None:
    content = bytes(400)
    for _ in range(2):
        send(api, content)

    assert held(api) == 400


def test_what_a_killed_server_counted_and_never_began_is_found(api: Api) -> None:
    quota = api.store.token_by_hash(sha256_of(NAME)).caller.upload_quota
    api.store.hold(quota, "0" * 32, 600, now=api.now)
    create(api, 300)

    api.uploads.room.release_removed()

    assert held(api) == 300


def test_the_original_agents_images_count_too(api: Api) -> None:
    def post(number: int, size_bytes: int) -> int:
        named = AGENT_HEADERS | {"X-HASTE-original_filename": f"C:\\plate\\{number}.tif"}
        content = bytes([number]) * size_bytes
        return api.client.post("/stream/plate7", headers=named, data=content).status_code

    assert post(1, 600) == 200
    assert held(api) == 600
    assert post(2, 401) == 507
    assert post(3, LIMIT + 1) == 413
    assert held(api) == 600
    assert len(landed(api)) == 1
    assert post(4, 400) == 200
    assert held(api) == LIMIT


def test_without_a_database_nothing_is_begun(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert create(api, 10).status_code == 201  # the token is known by now

    def away(*_: Any, **__: Any) -> None:
        raise TransientError("the database is away")

    monkeypatch.setattr(type(api.store), "hold", away)

    assert create(api, 20).status_code == 503
    assert len(list(api.landing_folder.glob(".uploads/*.upload"))) == 1

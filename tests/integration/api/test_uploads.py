"""Uploads in pieces, by the tus protocol, through the API."""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from haste_core.errors import InvalidError, Problem, TransientError
from haste_core.messages import Place
from haste_core.uploads import metadata_header
from haste_runtime.locks import try_lock
from haste_server.gateway import receiving
from haste_server.gateway import uploads as gateway
from haste_server.gateway.arrivals import Arrivals
from haste_server.gateway.upload_records import FINISHED_KEPT_S
from tests.integration.api.conftest import KEEP_S, LIMITS, Api

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Tus(NamedTuple):
    """A client that says just what it is told to."""

    api: Api

    def call(
        self, method: str, path: str = "/HASTE/files/", *, body: Any = None, **headers: Any
    ) -> TestResponse:
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        stream = io.BytesIO(body) if isinstance(body, bytes) else body
        length = len(body) if isinstance(body, bytes) else None
        sent = {"Tus-Resumable": "1.0.0"} | named
        if body is not None:
            sent = {"Content-Type": "application/offset+octet-stream"} | sent
        return self.api.client.open(
            path,
            method=method,
            headers=sent,
            input_stream=stream,
            content_length=length,
            environ_overrides={"wsgi.input_terminated": length is None},
        )

    def create(self, length: int = len(CONTENT), **metadata: Any) -> TestResponse:
        return self.call("POST", Upload_Length=length, Upload_Metadata=metadata_header(metadata))

    def begin(self, **metadata: Any) -> str:
        answer = self.create(**metadata)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, url: str, body: Any, offset: int, **headers: Any) -> TestResponse:
        return self.call("PATCH", url, body=body, Upload_Offset=offset, **headers)

    def offset(self, url: str) -> int:
        answer = self.call("HEAD", url)
        assert answer.status_code == 200, answer.status
        return int(answer.headers["Upload-Offset"])


@pytest.fixture
def tus(api: Api) -> Tus:
    return Tus(api)


def landed(api: Api) -> list[Path]:
    return [path for path in api.landing_folder.glob("[!.]*/??/*") if path.is_file()]


def unfinished(api: Api) -> list[Path]:
    return sorted(api.landing_folder.glob(".uploads/*"))


class BreakingOff(io.RawIOBase):
    """A body whose connection ends before its time."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def tell(self) -> int:
        return 0

    def seek(self, *_: int) -> int:
        return 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._body.readinto(buffer)
        if not count:
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")
        return count


def test_what_there_is_of_the_protocol_is_told(tus: Tus) -> None:
    answer = tus.call("OPTIONS")

    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "checksum",
        "expiration",
        "termination",
    }
    assert answer.headers["Tus-Max-Size"] == str(LIMITS.upload_bytes)
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1"


def test_pieces_become_a_file_under_its_digest(tus: Tus, api: Api) -> None:
    url = tus.begin(filename="A01.TIF", filetype="image/tiff")
    for start in range(0, len(CONTENT), 100_000):
        assert tus.offset(url) == start
        answer = tus.patch(url, CONTENT[start : start + 100_000], start)
        assert (answer.status_code, answer.data) == (204, b"")

    (file,) = landed(api)
    assert file.relative_to(api.landing_folder).as_posix() == f"default/{SHA256[:2]}/{SHA256}.tif"
    assert file.read_bytes() == CONTENT
    place = Place.model_validate_json(answer.headers["HASTE-Place"])
    assert place == Place(
        url=f"root://landing/default/{SHA256[:2]}/{SHA256}.tif",
        site="lab1",
        sha256=SHA256,
        size_bytes=len(CONTENT),
    )
    assert "HASTE-Job-Id" not in answer.headers
    shown = api.client.get(url).json
    assert (shown["offset"], shown["is_finished"], shown["job_id"]) == (len(CONTENT), True, None)
    assert shown["place"] == place.model_dump(exclude_none=True)
    assert [path.suffix for path in unfinished(api)] == [".upload"]


def test_the_protocol_is_told_at_the_address_of_an_upload_too(tus: Tus) -> None:
    answer = tus.call("OPTIONS", tus.begin())

    assert (answer.status_code, answer.headers["Tus-Version"]) == (204, "1.0.0")


def test_every_answer_names_the_protocol_and_is_not_cached(tus: Tus) -> None:
    url = tus.begin()
    for answer in (
        tus.call("OPTIONS"),
        tus.call("HEAD", url),
        tus.patch(url, b"x", 7),
        tus.call("DELETE", f"{url}0"),
        tus.call("POST"),
    ):
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert answer.headers["Cache-Control"] == "no-store"


def test_metadata_come_back_as_they_were_sent(tus: Tus) -> None:
    header = metadata_header({"filename": "Weltzeituhr é.tif", "is_confidential": "", "well": "A01"})
    url = tus.call("POST", Upload_Length=5, Upload_Metadata=header).headers["Location"]

    answer = tus.call("HEAD", url)

    assert answer.headers["Upload-Metadata"] == header
    assert answer.headers["Upload-Length"] == "5"
    assert answer.headers["Upload-Expires"].endswith("GMT")


def test_a_first_piece_may_come_with_the_creation(tus: Tus, api: Api) -> None:
    answer = tus.call("POST", body=CONTENT[:HALF], Upload_Length=len(CONTENT))
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(HALF))

    assert tus.patch(answer.headers["Location"], CONTENT[HALF:], HALF).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT


def test_a_whole_file_may_come_with_the_creation(tus: Tus, api: Api) -> None:
    answer = tus.call("POST", body=CONTENT, Upload_Length=len(CONTENT))

    assert (answer.status_code, answer.json["is_finished"]) == (201, True)
    assert landed(api)[0].read_bytes() == CONTENT


def test_an_empty_file_is_whole_from_the_beginning(tus: Tus, api: Api) -> None:
    answer = tus.create(0, filename="empty.tif")

    assert answer.json["is_finished"]
    assert [path.read_bytes() for path in landed(api)] == [b""]


def test_another_offset_is_a_conflict_and_changes_nothing(tus: Tus) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT[:HALF], 0)

    for offset in (0, HALF - 1, HALF + 1, len(CONTENT)):
        assert tus.patch(url, CONTENT[HALF:], offset).status_code == 409
        assert tus.offset(url) == HALF


def test_a_connection_that_breaks_keeps_what_has_arrived(tus: Tus, api: Api) -> None:
    url = tus.begin()
    answer = tus.patch(url, BreakingOff(CONTENT[:HALF]), 0)
    assert answer.status_code == 400

    assert tus.offset(url) == HALF
    assert tus.patch(url, CONTENT[HALF:], HALF).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_pieces_are_checked_by_their_checksums(tus: Tus, algorithm: str, api: Api) -> None:
    def checksum(piece: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, piece).digest()).decode()}"

    url = tus.begin()
    first, second = CONTENT[:HALF], CONTENT[HALF:]
    assert tus.patch(url, first, 0, Upload_Checksum=checksum(first)).status_code == 204
    damaged = tus.patch(url, second[:-1] + b"?", HALF, Upload_Checksum=checksum(second))
    assert damaged.status_code == 460
    assert damaged.json["title"] == "Checksum Mismatch"
    assert tus.offset(url) == HALF
    broken = tus.patch(url, BreakingOff(second[:1000]), HALF, Upload_Checksum=checksum(second))
    assert broken.status_code == 400
    assert tus.offset(url) == HALF  # nobody knows whether they are right
    assert tus.patch(url, second, HALF, Upload_Checksum=checksum(second)).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT


def test_odd_checksums_are_refused(tus: Tus) -> None:
    url = tus.begin()

    for checksum in ("", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256", "sha256 ????", "sha1 AAAA"):
        answer = tus.patch(url, CONTENT, 0, Upload_Checksum=checksum)
        assert answer.status_code == 400
        assert answer.json["problems"][0]["where"] == "Upload-Checksum"
        assert tus.offset(url) == 0


def test_a_piece_beyond_the_end_is_refused(tus: Tus) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT[:HALF], 0)

    assert tus.patch(url, CONTENT[HALF:] + b"x", HALF).status_code == 400
    assert tus.offset(url) == HALF


def test_another_whole_than_announced_is_refused_and_forgotten(tus: Tus, api: Api) -> None:
    url = tus.begin(sha256=SHA256)

    answer = tus.patch(url, CONTENT[:-1] + b"?", 0)

    assert answer.status_code == 460
    assert hashlib.sha256(CONTENT[:-1] + b"?").hexdigest() in answer.json["detail"]
    assert tus.call("HEAD", url).status_code == 404
    assert (landed(api), unfinished(api)) == ([], [])


def test_with_its_digest_an_upload_is_found_again_by_who_has_no_notes(tus: Tus, api: Api) -> None:
    said = {"filename": "A01.tif", "sha256": SHA256, "stream_id": "plate7"}
    first = tus.create(**said)
    tus.patch(first.headers["Location"], CONTENT[:HALF], 0)

    again = tus.create(**said)

    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == str(HALF)
    other = tus.create(**said | {"filename": "A02.tif"})
    assert other.headers["Upload-Offset"] == "0"


def test_content_that_is_there_is_not_sent_again(tus: Tus, api: Api) -> None:
    tus.patch(tus.begin(filename="a.tif"), CONTENT, 0)

    answer = tus.create(filename="b.tif", sha256=SHA256)

    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert answer.json["place"]["sha256"] == SHA256
    assert len(landed(api)) == 1


def test_an_upload_is_for_one_at_a_time(tus: Tus, api: Api) -> None:
    url = tus.begin()
    record = api.landing_folder / ".uploads" / f"{url.rpartition('/')[2]}.upload"
    with record.open("rb") as held:
        assert try_lock(held)
        for answer in (tus.patch(url, CONTENT, 0), tus.call("DELETE", url)):
            assert answer.status_code == 423
        assert tus.offset(url) == 0  # how far it is can be asked all the same

    assert tus.patch(url, CONTENT, 0).status_code == 204


def test_another_server_on_the_same_folder_goes_on(tus: Tus, api: Api) -> None:
    url = tus.begin(stream_id="plate7", filename="A01.tif")
    tus.patch(url, CONTENT[:HALF], 0)
    other = Tus(Api(api.store, api.landing_folder))

    assert other.offset(url) == HALF
    assert other.patch(url, CONTENT[HALF:], HALF).status_code == 204
    assert tus.api.client.get(url).json == other.api.client.get(url).json
    assert landed(api)[0].read_bytes() == CONTENT


def test_an_upload_can_be_given_up(tus: Tus, api: Api) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT[:HALF], 0)

    assert tus.call("DELETE", url).status_code == 204
    assert tus.call("HEAD", url).status_code == 404
    assert tus.patch(url, CONTENT[HALF:], HALF).status_code == 404
    assert unfinished(api) == []


def test_a_finished_upload_that_is_forgotten_leaves_its_file(tus: Tus, api: Api) -> None:
    url = tus.begin()
    tus.patch(url, CONTENT, 0)

    assert tus.call("DELETE", url).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT


def test_other_methods_may_be_sent_as_post(tus: Tus, api: Api) -> None:
    url = tus.begin()
    asked = {"X_HTTP_Method_Override": "PATCH", "Upload_Offset": 0}
    assert tus.call("POST", url, body=CONTENT, **asked).status_code == 204
    assert landed(api)[0].read_bytes() == CONTENT
    assert tus.call("POST", url, X_HTTP_Method_Override="DELETE").status_code == 204
    assert tus.call("HEAD", url).status_code == 404
    assert tus.call("POST", url, X_HTTP_Method_Override="PUT").status_code == 400


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


def test_another_version_of_the_protocol_is_refused(tus: Tus) -> None:
    url = tus.begin()

    for headers in ({}, {"Tus-Resumable": "0.2.2"}, {"Tus-Resumable": "1.0.1"}):
        for method, path in (("POST", "/HASTE/files/"), ("HEAD", url), ("PATCH", url), ("DELETE", url)):
            answer = tus.api.client.open(path, method=method, headers=headers)
            assert answer.status_code == 412
            assert answer.headers["Tus-Version"] == "1.0.0"


def test_a_piece_of_another_kind_is_refused(tus: Tus) -> None:
    url = tus.begin()
    assert tus.patch(url, CONTENT, 0, Content_Type="image/tiff").status_code == 415


def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(tus: Tus, api: Api) -> None:
    answer = tus.create(LIMITS.upload_bytes + 1)

    assert answer.status_code == 413
    assert "max_upload_bytes" in answer.json["detail"]
    assert unfinished(api) == []


def test_a_file_for_which_there_is_no_space_is_refused_before_it_is_sent(
    tus: Tus, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))

    answer = tus.create(1001)

    assert answer.status_code == 507
    assert "free some space" in answer.json["detail"]
    assert unfinished(api) == []
    assert tus.create(1000).status_code == 201


def test_odd_metadata_are_refused(tus: Tus) -> None:
    twice = "filename YQ==,filename Yg=="
    for header in ("a b c", "filename ????", "filename /w==", "é YQ==", twice, ",", " , ,"):
        answer = tus.call("POST", Upload_Length=1, Upload_Metadata=header)
        assert answer.status_code == 400, header
        assert "Upload-Metadata" in answer.json["problems"][0]["where"]
    assert tus.call("POST", Upload_Length=1, Upload_Metadata="is_confidential").status_code == 201


@pytest.fixture
def _nearly_full(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """Let the disk have 1 MB more than uploads are to leave free, and less with each byte that comes."""
    object.__setattr__(api.uploads.room, "leaves_free_bytes", 10**9)
    monkeypatch.setattr(receiving, "ROOM_EVERY_BYTES", 2**16)

    def usage(folder: Path) -> Any:
        came = sum(path.stat().st_size for path in folder.glob("*.part"))
        return shutil._ntuple_diskusage(10**12, 10**12, 10**9 + 10**6 - came)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", usage)


@pytest.mark.usefixtures("_nearly_full")
def test_uploads_leave_room_on_the_disk_also_if_many_come_at_once(tus: Tus, api: Api) -> None:
    object.__setattr__(api.uploads.room, "max_bytes", 10**7)
    assert tus.create(10**6 + 1).status_code == 507
    first, second = tus.begin(length=800_000), tus.begin(length=800_000)
    assert tus.patch(first, bytes(700_000), 0).status_code == 204

    assert tus.patch(second, bytes(700_000), 0).status_code == 507

    kept = tus.offset(second)
    assert 200_000 < kept <= 300_000
    assert tus.call("DELETE", first).status_code == 204
    assert tus.patch(second, bytes(800_000 - kept), kept).status_code == 204


@pytest.mark.usefixtures("_nearly_full")
def test_an_image_of_the_agent_for_which_there_is_no_room_is_refused(api: Api) -> None:
    object.__setattr__(api.uploads.room, "leaves_free_bytes", 2 * 10**9)
    headers = {"X-HASTE-original_filename": "/a/1.png", "X-HASTE-tag": "lab1"}

    assert api.client.post("/stream/s", data=b"pixels", headers=headers).status_code == 507
    assert unfinished(api) == []


ODD_FIELDS = [
    ("stream_id", "../up"),
    ("source_id", "../up"),
    ("source_id", "/etc/passwd"),
    ("sha256", "x"),
    ("index", "-1"),
    ("index", "one"),
    ("timestamp", "nan"),
    ("location", "1,x"),
    ("metadata", "[]"),
    ("metadata", "{"),
    ("metadata", '{"a":' * 24 + "1" + "}" * 24),
    ("job", "perhaps"),
]


def test_metadata_that_make_no_job_are_refused_before_the_file_is_sent(tus: Tus, api: Api) -> None:
    for field, value in ODD_FIELDS:
        answer = tus.create(**{"stream_id": "plate7", "filename": "A01.tif", field: value})
        assert answer.status_code == 400
        assert field in json.dumps(answer.json["problems"])
    assert unfinished(api) == []


def test_odd_lengths_are_refused(tus: Tus) -> None:
    assert tus.call("POST").status_code == 400
    for length in ("", "-1", "1.5", "x", "1" * 30, "+5", "5_0", "0x5"):
        assert tus.call("POST", Upload_Length=length).status_code == 400
    url = tus.begin()
    for offset in ("", "-1", "+0", "0_0", "1" * 30):
        assert tus.patch(url, CONTENT, offset).status_code == 400  # type: ignore[arg-type]


def test_what_is_not_offered_of_the_protocol_is_refused_and_not_ignored(tus: Tus, api: Api) -> None:
    for header, value in (
        ("Upload-Concat", "partial"),
        ("Upload-Concat", "final;/a /b"),
        ("Upload-Defer-Length", 1),
    ):
        for length in ({}, {"Upload_Length": 5}):
            answer = tus.call("POST", **{header.replace("-", "_"): value}, **length)
            assert answer.status_code == 400
            assert header in {problem["where"] for problem in answer.json["problems"]}
    assert unfinished(api) == []


def test_odd_uploads_are_not_found(tus: Tus) -> None:
    for name in ("x", "..", "%2e%2e", "0" * 31, "0" * 32, "0" * 33, "%00", "..%2fx"):
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = tus.call(method, f"/HASTE/files/{name}", body=b"", Upload_Offset=0)
            assert answer.status_code in (404, 405), name  # 405 where it is no upload's address


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

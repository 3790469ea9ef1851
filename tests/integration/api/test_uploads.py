"""Uploads in pieces, by the tus protocol, through the API."""

import base64
import hashlib

import pytest

from haste_core.messages import Place
from haste_core.uploads import metadata_header
from haste_runtime.locks import try_lock
from tests.integration.api.conftest import LIMITS, Api
from tests.integration.api.tus import CONTENT, HALF, SHA256, BreakingOff, Tus, landed, unfinished


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

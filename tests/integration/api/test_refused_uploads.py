"""What the API refuses of uploads, and how it says so."""

import json

from tests.integration.api.conftest import LIMITS, Api
from tests.integration.api.tus import CONTENT, Tus, unfinished


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


def test_odd_metadata_are_refused(tus: Tus) -> None:
    twice = "filename YQ==,filename Yg=="
    for header in ("a b c", "filename ????", "filename /w==", "é YQ==", twice, ",", " , ,"):
        answer = tus.call("POST", Upload_Length=1, Upload_Metadata=header)
        assert answer.status_code == 400, header
        assert "Upload-Metadata" in answer.json["problems"][0]["where"]
    assert tus.call("POST", Upload_Length=1, Upload_Metadata="is_confidential").status_code == 201


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

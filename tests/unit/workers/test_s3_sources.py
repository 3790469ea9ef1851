"""Sources in S3 buckets: fetched whole by the worker's right, or not at all, and no key is ever told."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from haste_core.errors import (
    BadInputError,
    InvalidError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_core.states import TaskState
from haste_runtime.s3 import S3Connection
from haste_workers.fetching import Access, fetch
from haste_workers.imaging.read import read_image
from haste_workers.s3 import client_of
from haste_workers.settings import load_settings
from tests.services.s3 import S3Server
from tests.unit.workers.bench import cells
from tests.unit.workers.running_worker import RunningWorker
from tests.unit.workers.web_server import BODY, WebServer, running_web_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client.create_bucket(Bucket="plates")
        yield server


@pytest.fixture(scope="module")
def odd() -> Iterator[WebServer]:
    """Return a server that answers as `WebServer` does; one, since each takes a new client."""
    with running_web_server() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let boto3 find no key on this machine, and ask no other for one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def plates(s3: S3Server) -> Access:
    return Access(buckets={"plates": S3Connection(**s3.connection)}, limit_bytes=10**7)


@pytest.fixture
def odd_plates(odd: WebServer) -> Access:
    odd.asked.clear()
    hush = {"access_key_id": "AKIAHUSH", "secret_access_key": "hush-secret"}
    return Access(buckets={"plates": S3Connection(endpoint_url=odd.url, **hush)}, limit_bytes=10**6)


class TestObjects:
    def test_every_bit_comes(self, s3: S3Server, plates: Access, tmp_path: Path) -> None:
        content = np.random.default_rng(0).bytes(3_500_001)
        s3.client.put_object(Bucket="plates", Key="plate7/A01.tif", Body=content)
        path = fetch("s3://plates/plate7/A01.tif", tmp_path, plates)
        assert path == tmp_path / "source.tif"
        assert path.read_bytes() == content

    @pytest.mark.parametrize("key", ["plate 7/ü+&=.tif", "100%/%41.tif", "a?b#c.tif", "/a//日本.tif"])
    def test_odd_keys(self, s3: S3Server, plates: Access, tmp_path: Path, key: str) -> None:
        s3.client.put_object(Bucket="plates", Key=key, Body=key.encode())
        assert fetch(f"s3://plates/{quote(key)}", tmp_path, plates).read_bytes() == key.encode()
        if "%" not in key:
            assert fetch(f"S3://plates/{key}", tmp_path, plates).read_bytes() == key.encode()

    def test_limit(self, s3: S3Server, plates: Access, tmp_path: Path) -> None:
        s3.client.put_object(Bucket="plates", Key="a.tif", Body=b"p" * 1000)
        exact = Access(buckets=plates.buckets, limit_bytes=1000)
        assert fetch("s3://plates/a.tif", tmp_path, exact).stat().st_size == 1000
        with pytest.raises(BadInputError, match=r"larger than 999 bytes.*download_limit_bytes"):
            fetch("s3://plates/a.tif", tmp_path, Access(buckets=plates.buckets, limit_bytes=999))

    def test_missing_object_and_missing_bucket(self, s3: S3Server, plates: Access, tmp_path: Path) -> None:
        with pytest.raises(SourceMissingError, match="404 NoSuchKey"):
            fetch("s3://plates/none.tif", tmp_path, plates)
        gone = Access(buckets={"gone": S3Connection(**s3.connection)})
        with pytest.raises(SourceMissingError, match="404 NoSuchBucket"):
            fetch("s3://gone/a.tif", tmp_path, gone)

    def test_wrong_key_is_denied(self, s3: S3Server, tmp_path: Path) -> None:
        s3.client.put_object(Bucket="plates", Key="a.tif", Body=b"p")
        for wrong in ({"access_key_id": "AKIANOBODY"}, {"secret_access_key": "hush-wrong"}):
            connection = S3Connection(**{**s3.connection, **wrong})
            with pytest.raises(SourceDeniedError, match="its server says 403") as caught:
                fetch("s3://plates/a.tif", tmp_path, Access(buckets={"plates": connection}))
            assert "hush" not in str(caught.value)
            assert s3.connection["secret_access_key"] not in str(caught.value)

    def test_without_a_key_only_public_buckets_answer(self, s3: S3Server, tmp_path: Path) -> None:
        s3.client.put_object(Bucket="plates", Key="a.tif", Body=b"p")
        anonymous = S3Connection(endpoint_url=s3.endpoint_url, anonymous=True)
        with pytest.raises(SourceDeniedError, match="its server says 403"):
            fetch("s3://plates/a.tif", tmp_path, Access(buckets={"plates": anonymous}))

    def test_proxy_is_not_asked_for_this_machine(
        self, s3: S3Server, plates: Access, tmp_path: Path, proxy_that_is_away: None
    ) -> None:
        s3.client.put_object(Bucket="plates", Key="a.tif", Body=b"p")
        assert fetch("s3://plates/a.tif", tmp_path, plates).read_bytes() == b"p"


class TestAnswers:
    @pytest.mark.parametrize(
        ("name", "error", "said"),
        [
            ("400.tif", PermanentError, "400"),
            ("403.tif", SourceDeniedError, "a missing file is told like this too"),
            ("404.tif", SourceMissingError, "404"),
            ("429.tif", TransientError, "429"),
            ("503.tif", TransientError, "503"),
            ("cut.tif", TransientError, "cannot be fetched now"),
            ("chunks-cut.tif", PermanentError, "neither the file's size"),
            ("untold.tif", PermanentError, "neither the file's size"),
            ("vast.tif", BadInputError, "larger than 1000000 bytes"),
        ],
    )
    def test_trouble(
        self, odd_plates: Access, tmp_path: Path, name: str, error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said) as caught:
            fetch(f"s3://plates/{name}", tmp_path, odd_plates)
        assert type(caught.value) is error
        assert name in str(caught.value)
        assert "hush" not in str(caught.value)

    def test_public_bucket_is_asked_without_a_signature(
        self, odd: WebServer, odd_plates: Access, tmp_path: Path
    ) -> None:
        public = Access(buckets={"plates": S3Connection(endpoint_url=odd.url, anonymous=True)})
        for access in (odd_plates, public):
            assert fetch("s3://plates/200.tif", tmp_path, access).read_bytes() == BODY
        assert ["Authorization" in headers for headers in odd.asked] == [True, False]

    def test_server_that_falls_silent_is_passing_trouble(
        self, odd: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("haste_workers.s3.READ_TIMEOUT_S", 0.1)
        silent = S3Connection(endpoint_url=odd.url, region="eu-north-1", anonymous=True)
        with pytest.raises(TransientError, match="timeout"):
            fetch("s3://plates/stalled.tif", tmp_path, Access(buckets={"plates": silent}))

    def test_server_that_is_away_is_passing_trouble(self, tmp_path: Path) -> None:
        away = S3Connection(endpoint_url="http://127.0.0.1:9", anonymous=True)
        with pytest.raises(TransientError, match="cannot be fetched now"):
            fetch("s3://plates/a.tif", tmp_path, Access(buckets={"plates": away}))


class TestRights:
    def test_bucket_that_the_settings_do_not_name(
        self, odd: WebServer, odd_plates: Access, tmp_path: Path
    ) -> None:
        for url in ("s3://other/200.tif", "s3://plates@other/200.tif", "s3://PLATES/200.tif"):
            with pytest.raises(SourceDeniedError, match="`s3_buckets:`"):
                fetch(url, tmp_path, odd_plates)
        assert odd.asked == []

    @pytest.mark.parametrize("url", ["s3://plates", "s3://plates/", "s3:///a.tif"])
    def test_url_without_a_file(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(BadInputError, match="s3://BUCKET/KEY"):
            fetch(url, tmp_path, Access())

    def test_name_that_no_bucket_can_have(self, tmp_path: Path) -> None:
        access = Access(buckets={"a b": S3Connection(anonymous=True)})
        with pytest.raises(PermanentError, match="Invalid bucket name"):
            fetch("s3://a b/x.tif", tmp_path, access)

    def test_no_key_anywhere_is_said_with_what_to_do(self, odd: WebServer, tmp_path: Path) -> None:
        access = Access(buckets={"plates": S3Connection(endpoint_url=odd.url)})
        with pytest.raises(SourceDeniedError, match=r"no key for this bucket.*anonymous: true"):
            fetch("s3://plates/200.tif", tmp_path, access)

    def test_key_of_the_environment_and_after_a_refusal_the_next_one(
        self, odd: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd.asked.clear()
        access = Access(buckets={"plates": S3Connection(endpoint_url=odd.url)})
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOLD")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-old")
        with pytest.raises(SourceDeniedError):
            fetch("s3://plates/403.tif", tmp_path, access)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
        fetch("s3://plates/200.tif", tmp_path, access)
        named = [headers["Authorization"].partition("Credential=")[2][:7] for headers in odd.asked]
        assert named == ["AKIAOLD", "AKIANEW"]

    def test_without_boto3_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "haste_workers.s3")
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(PermanentError, match=r"at the worker.*pip install 'haste-server\[s3\]'"):
            fetch("s3://plates/a.tif", tmp_path, Access())


class TestSettings:
    def test_secrets_are_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        given = {"plates": {"access_key_id": "AKIA1", "secret_access_key": "hush"}, "open": {}}
        monkeypatch.setenv("HASTE_S3_BUCKETS", json.dumps(given))
        settings = load_settings()
        assert settings.s3_buckets["plates"].secret_access_key is not None
        assert settings.s3_buckets["plates"].secret_access_key.get_secret_value() == "hush"
        assert settings.s3_buckets["open"] == S3Connection()
        assert "hush" not in f"{settings!r} {settings} {settings.model_dump_json()}"

    @pytest.mark.parametrize(
        ("bucket", "said"),
        [
            ({"secret_access_key": "hush"}, "go together"),
            ({"access_key_id": "AKIA1", "secret_access_key": "hush", "anonymous": True}, "not both"),
            ({"secret_acces_key": "hush"}, "is not a field that is known here"),
            ({"endpoint_url": "minio:9000"}, "URL scheme should be 'http' or 'https'"),
        ],
    )
    def test_mistakes_are_told_without_the_secret(self, bucket: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidError, match=said) as caught:
            load_settings(None, s3_buckets={"plates": bucket})
        assert "s3_buckets.plates" in str(caught.value)
        assert "hush" not in str(caught.value)
        with pytest.raises(ValidationError) as unworded:
            S3Connection(**bucket)
        assert "hush" not in str(unworded.value)


class TestImages:
    def test_focus_score_in_a_worker_is_that_of_the_file(
        self, s3: S3Server, start: Callable[..., RunningWorker], tmp_path: Path
    ) -> None:
        path = tmp_path / "A01.tif"
        tifffile.imwrite(path, cells())
        s3.client.upload_file(str(path), "plates", "plate 7/A01.tif")
        worker = start(measuring=True, s3_buckets={"plates": s3.connection}, roots={"here": tmp_path})
        remote = worker.run("focus-score", url="s3://plates/plate%207/A01.tif")
        assert remote.state is TaskState.DONE
        local = worker.run("focus-score", url=path.as_uri())
        assert remote.response == local.response
        assert remote.response["plls"] is not None
        assert [file for file in (tmp_path / "work").rglob("source*") if file.is_file()] == []

    def test_image_is_read_in_ones_own_process(
        self, s3: S3Server, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tifffile.imwrite(tmp_path / "A02.tif", cells(64))
        s3.client.upload_file(str(tmp_path / "A02.tif"), "plates", "A02.tif")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.connection["access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.connection["secret_access_key"])
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint_url)
        client_of.cache_clear()
        assert np.array_equal(read_image("s3://plates/A02.tif").pixels, cells(64))
        assert list(temporary.iterdir()) == []
        client_of.cache_clear()

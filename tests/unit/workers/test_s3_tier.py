"""What the S3 driver does beside the contract of all tiers: conditions, checksums, remains, refusals."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from haste_core.errors import BadInputError, PermanentError, TransientError
from haste_core.messages import DecisionNote
from haste_core.states import TaskState
from haste_runtime.tiers import S3Tier, SwiftTier, said_openly
from haste_workers.fetching import Access, fetch
from haste_workers.s3 import client_of
from haste_workers.tiers import s3 as driver
from haste_workers.tiers.by_name import open_tier
from haste_workers.tiers.objects import ObjectTierStorage, SourceFile
from haste_workers.tiers.s3 import S3Store
from haste_workers.tiers.storage import StoredObject
from tests.services.s3 import S3Server
from tests.unit.workers.bench import RunTask

PART_BYTES = 5 << 20

Put = Callable[..., StoredObject]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client.create_bucket(Bucket="tier")
        yield server


@pytest.fixture
def tier(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Tier:
    monkeypatch.setattr(driver, "PART_BYTES", PART_BYTES)
    for name in names(server):
        server.client.delete_object(Bucket="tier", Key=name)
    return S3Tier(driver="s3", bucket="tier", **server.connection)


@pytest.fixture
def put(tier: S3Tier, tmp_path: Path) -> Put:
    """Return a function that puts some content."""

    def put(content: bytes, *, source_id: str = "a.tif", into: S3Tier = tier) -> StoredObject:
        source = tmp_path / "source.tif"
        source.write_bytes(content)
        os.utime(source, (1_500_000_000.25, 1_500_000_000.25))
        return ObjectTierStorage(S3Store(into), prefix=into.prefix).put(
            source, stream_id="s", source_id=source_id
        )

    return put


def names(server: S3Server) -> list[str]:
    return [found["Key"] for found in server.client.list_objects_v2(Bucket="tier").get("Contents", [])]


def stored(server: S3Server, key: str) -> bytes:
    body: bytes = server.client.get_object(Bucket="tier", Key=key)["Body"].read()
    return body


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class SentRequests:
    """Sees, changes and answers what a tier's client sends."""

    def __init__(self, tier: S3Tier) -> None:
        self.sent: list[str] = []
        self._events = client_of(tier.connection).meta.events
        self._registered: list[tuple[str, Callable[..., Any]]] = []
        self._on("before-call.s3", lambda model, **_: self.sent.append(model.name))

    def forget(self) -> None:
        """Let the client send what it wants again."""
        while self._registered:
            self._events.unregister(*self._registered.pop())

    def _on(self, event: str, handler: Callable[..., Any]) -> None:
        self._events.register(event, handler)
        self._registered.append((event, handler))

    def without(self, *headers: str) -> None:
        """Leave headers out, as they are without effect on a server that does not know them."""

        def strip(request: Any, **_: object) -> None:
            for header in headers:
                del request.headers[header]

        self._on("before-sign.s3", strip)

    def damaged(self) -> None:
        """Change a byte on the way."""

        def damage(params: dict[str, Any], **_: object) -> None:
            params["body"] = b"?" + params["body"].read()[1:]
            params["headers"].pop("x-amz-checksum-sha256")

        self._on("before-call.s3.PutObject", damage)

    def refused(self, header: str, status: int, code: str) -> None:
        """Refuse requests that have a header."""

        def refuse(request: Any, **_: object) -> AWSResponse | None:
            body = f"<Error><Code>{code}</Code></Error>".encode()
            return _answer(status, body) if header in request.headers else None

        self._on("before-send.s3", refuse)

    def answered(self, operation: str, body: bytes) -> None:
        """Have a kind of request answered with success and these words."""
        self._on(f"before-send.s3.{operation}", lambda **_: _answer(200, body))


def _answer(status: int, body: bytes) -> AWSResponse:
    answer = AWSResponse("", status, {}, None)
    answer._content = body
    return answer


@pytest.fixture
def requests(tier: S3Tier) -> Iterator[SentRequests]:
    requests = SentRequests(tier)
    yield requests
    requests.forget()


class TestChecksums:
    def test_server_that_keeps_checksums_is_not_read(self, put: Put, requests: SentRequests) -> None:
        put(b"pixels")
        put(b"pixels")
        put(b"others")
        assert requests.sent == [
            "HeadObject",
            "PutObject",
            "HeadObject",
            "HeadObject",
            "HeadObject",
            "PutObject",
        ]

    @pytest.mark.parametrize("size_bytes", [6, 2 * PART_BYTES + 1])
    def test_server_that_keeps_none_is_read_back(
        self, put: Put, requests: SentRequests, server: S3Server, size_bytes: int
    ) -> None:
        requests.without("x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm")
        content = os.urandom(size_bytes)
        first = put(content)
        assert requests.sent.count("GetObject") == 1
        assert put(content) == first
        assert requests.sent.count("GetObject") == 2
        assert stored(server, "s/a.tif") == content

    def test_what_was_damaged_on_its_way_is_not_taken_for_the_object(
        self, put: Put, requests: SentRequests, server: S3Server
    ) -> None:
        requests.without("x-amz-sdk-checksum-algorithm")
        requests.damaged()
        with pytest.raises(TransientError, match="does not read back as it was sent"):
            put(b"pixels")
        requests.forget()
        again = put(b"pixels")
        assert stored(server, again.url.removeprefix("s3://tier/").replace("%7E", "~")) == b"pixels"

    def test_object_of_other_parts_is_known_by_reading(
        self, put: Put, requests: SentRequests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = os.urandom(2 * PART_BYTES + 1)
        first = put(content)
        monkeypatch.setattr(driver, "PART_BYTES", PART_BYTES + 1000)
        assert put(content) == first
        assert requests.sent.count("CreateMultipartUpload") == 1

    @pytest.mark.parametrize("size_bytes", [6, PART_BYTES + 1])
    def test_hash_and_time_are_recorded(self, put: Put, server: S3Server, size_bytes: int) -> None:
        content = os.urandom(size_bytes)
        put(content)
        recorded = server.client.head_object(Bucket="tier", Key="s/a.tif")["Metadata"]
        assert recorded == {"sha256": sha256(content), "mtime": "1500000000.250000"}


class TestConditions:
    @pytest.mark.parametrize("size_bytes", [6, PART_BYTES + 1])
    def test_two_that_find_a_name_free_do_not_replace_one_another(
        self, put: Put, server: S3Server, monkeypatch: pytest.MonkeyPatch, size_bytes: int
    ) -> None:
        theirs, ours = os.urandom(size_bytes), os.urandom(size_bytes)
        put(theirs)
        look, answers = S3Store.compare, iter([None])
        monkeypatch.setattr(
            S3Store, "compare", lambda self, *which: next(answers, False) and look(self, *which)
        )
        answers = iter([None, False, None])
        second = put(ours)
        assert second.url == f"s3://tier/s/a~{sha256(ours)[:16]}.tif"
        assert stored(server, "s/a.tif") == theirs
        assert stored(server, f"s/a~{sha256(ours)[:16]}.tif") == ours

    @pytest.mark.parametrize("size_bytes", [6, PART_BYTES + 1])
    def test_server_that_knows_no_conditions_gets_marked_names(
        self, put: Put, requests: SentRequests, server: S3Server, size_bytes: int
    ) -> None:
        requests.refused("If-None-Match", 501, "NotImplemented")
        content = os.urandom(size_bytes)
        first = put(content)
        assert first.url == f"s3://tier/s/a~{sha256(content)[:16]}.tif"
        assert put(content) == first
        assert names(server) == [f"s/a~{sha256(content)[:16]}.tif"]

    def test_server_that_is_said_to_promise_none_is_asked_for_none(
        self, put: Put, tier: S3Tier, requests: SentRequests, server: S3Server
    ) -> None:
        requests.refused("If-None-Match", 400, "InvalidRequest")
        put(b"pixels", into=tier.model_copy(update={"conditional_writes": False}))
        assert names(server) == [f"s/a~{sha256(b'pixels')[:16]}.tif"]


class TestRemains:
    def test_uploads_of_killed_workers_are_removed_a_day_later(
        self, put: Put, server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key in ("s/old ü&.tif", "other/old.tif"):
            server.client.create_multipart_upload(Bucket="tier", Key=key)
        monkeypatch.setattr(driver, "_STALE", timedelta(days=36500))  # moto's uploads all began in 2010
        put(os.urandom(PART_BYTES + 1), source_id="first.tif")
        assert self.uploads(server) == {"s/old ü&.tif", "other/old.tif"}
        monkeypatch.setattr(driver, "_STALE", timedelta(days=1))
        put(os.urandom(PART_BYTES + 1), source_id="second.tif")
        assert self.uploads(server) == {"other/old.tif"}

    def test_upload_that_fails_is_removed(self, put: Put, server: S3Server, requests: SentRequests) -> None:
        before = self.uploads(server)
        requests.refused("x-amz-checksum-sha256", 403, "AccessDenied")
        with pytest.raises(PermanentError, match="right to list, read, write and delete"):
            put(os.urandom(PART_BYTES + 1))
        assert self.uploads(server) == before
        assert names(server) == []

    @staticmethod
    def uploads(server: S3Server) -> set[str]:
        listed = server.client.list_multipart_uploads(Bucket="tier")
        return {upload["Key"] for upload in listed.get("Uploads", [])}


class TestSaid:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "said"),
        [
            (507, "XMinioStorageFull", TransientError, "is full"),
            (403, "QuotaExceeded", TransientError, "is full"),
            (503, "SlowDown", TransientError, "503 SlowDown"),
            (500, "InternalError", TransientError, "500"),
            (409, "ConditionalRequestConflict", TransientError, "409"),
            (400, "BadDigest", TransientError, "BadDigest"),
            (403, "AccessDenied", PermanentError, "right to list, read, write and delete"),
            (405, "MethodNotAllowed", PermanentError, "405"),
            (400, "EntityTooLarge", PermanentError, "EntityTooLarge"),
            (404, "NoSuchBucket", PermanentError, "make the bucket"),
        ],
    )
    def test_each_refusal_is_named_and_tried_again_only_where_that_helps(
        self, put: Put, requests: SentRequests, status: int, code: str, kind: type[Exception], said: str
    ) -> None:
        requests.refused("x-amz-checksum-sha256", status, code)
        with pytest.raises(kind, match=said) as caught:
            put(b"pixels")
        assert "s3://tier/s/a.tif" in str(caught.value)

    def test_answer_that_is_cut_short_is_passing_trouble(
        self, put: Put, requests: SentRequests, server: S3Server
    ) -> None:
        requests.answered("CreateMultipartUpload", b"")
        with pytest.raises(TransientError, match="cut short"):
            put(os.urandom(PART_BYTES + 1))
        assert names(server) == []


class TestWorker:
    def test_next_task_reads_what_a_tier_holds(
        self, run_task: RunTask, data_dir: Path, tier: S3Tier, server: S3Server
    ) -> None:
        source = data_dir / "field.tif"
        source.write_bytes(b"pixels")
        openly = json.loads(json.dumps(tier.model_dump(), default=said_openly))
        settings = {"tiers": {"tierA": {**openly, "prefix": "haste/A"}}}
        decision = DecisionNote(decision_id=1, score=0.8, tier="tierA", reason="sharp", enforce=True)
        put = run_task("tier", source, settings=settings, decision=decision, source_id="A01 µ")
        assert put.state is TaskState.DONE, put.message
        assert put.place is not None
        assert put.place.url == "s3://tier/haste/A/plate7/A01%20%C2%B5.tif"
        assert stored(server, "haste/A/plate7/A01 µ.tif") == b"pixels"
        again = run_task("tier", put.place.url, settings=settings, decision=decision, source_id="A01 µ")
        assert again.place == put.place
        denied = run_task("tier", "s3://tier/haste/other.tif", settings=settings, decision=decision)
        assert denied.state is TaskState.SOURCE_DENIED

    @pytest.mark.parametrize("library", ["boto3", "swiftclient"])
    def test_without_its_library_it_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str
    ) -> None:
        driver = {"boto3": "s3", "swiftclient": "swift"}[library]
        tiers = {
            "s3": S3Tier(driver="s3", bucket="b"),
            "swift": SwiftTier(driver="swift", container="c", auth_url="http://k", user="u", key="k"),
        }
        for module in (f"haste_workers.{driver}", f"haste_workers.tiers.{driver}"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(PermanentError, match=rf"pip install 'haste-server\[{driver}\]'"):
            open_tier(driver, tiers, work_dir=tmp_path)
        with pytest.raises(PermanentError, match=rf"pip install 'haste-server\[{driver}\]'"):
            fetch(f"{driver}://{tiers[driver].area}/a.tif", tmp_path, Access(tiers=[tiers[driver]]))


class TestSourceFile:
    @pytest.mark.parametrize("change", [b"x", b"longer" * 100_000, b""])
    def test_change_while_it_is_read_is_found_before_the_last_piece(
        self, tmp_path: Path, change: bytes
    ) -> None:
        path = tmp_path / "a.tif"
        path.write_bytes(b"0123" * 100_000)
        pieces = SourceFile.of(path, None).pieces(40_000)
        assert next(pieces) == b"0123" * 10_000
        path.write_bytes(b"0123" * 50_000 + change)
        with pytest.raises(BadInputError, match="has changed"):
            list(pieces)

    @pytest.mark.parametrize("size_bytes", [0, 1, 4, 5, 8, 9])
    def test_pieces_are_the_file(self, tmp_path: Path, size_bytes: int) -> None:
        path = tmp_path / "a.tif"
        path.write_bytes(os.urandom(size_bytes))
        pieces = list(SourceFile.of(path, None).pieces(4))
        assert b"".join(pieces) == path.read_bytes()
        assert len(pieces) == max(1, -(-size_bytes // 4))

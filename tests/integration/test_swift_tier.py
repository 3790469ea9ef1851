"""What the Swift driver does beside the contract of all tiers: Keystone, segments, what is recorded."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests

from haste_core.errors import PermanentError, SourceDeniedError, TransientError
from haste_runtime.tiers import SwiftTier
from haste_workers.fetching import Access, fetch
from haste_workers.swift import client_of
from haste_workers.tiers.objects import ObjectTierStorage
from haste_workers.tiers.storage import StoredObject
from haste_workers.tiers.swift import SwiftStore
from tests.services.process import free_port
from tests.services.swift import Swift

pytestmark = pytest.mark.slow

SEGMENT_BYTES = 1 << 20


# Two contents with one MD5, found by Wang, Feng, Lai and Yu (2004), https://eprint.iacr.org/2004/199
_MD5_ALIKE = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
_MD5_ALIKE_TOO = bytes(
    byte ^ 128 if place in (19, 45, 59, 83, 109, 123) else byte for place, byte in enumerate(_MD5_ALIKE)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    if find_spec("swift") is None:
        pytest.skip("OpenStack Swift is installed on Linux only")
    with Swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def tier(server: Swift) -> SwiftTier:
    tier = SwiftTier(
        driver="swift", container=os.urandom(8).hex(), segment_bytes=SEGMENT_BYTES, **server.connection()
    )
    client_of(tier.connection).put_container(tier.container)
    return tier


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(os.urandom(2 * SEGMENT_BYTES + 1))
    os.utime(path, (1_500_000_000.25, 1_500_000_000.25))
    return path


def put(tier: SwiftTier, source: Path) -> StoredObject:
    return ObjectTierStorage(SwiftStore(tier), prefix=tier.prefix).put(
        source, stream_id="s", source_id="a.tif"
    )


def name_of(source: Path) -> str:
    return f"s/a~{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.tif"


def names(tier: SwiftTier) -> list[str]:
    return [found["name"] for found in client_of(tier.connection).get_container(tier.container)[1]]


class TestObjects:
    @pytest.mark.parametrize("size_bytes", [1000, 2 * SEGMENT_BYTES + 1])
    def test_hash_and_time_are_recorded(self, tier: SwiftTier, source: Path, size_bytes: int) -> None:
        os.truncate(source, size_bytes)
        os.utime(source, (1_500_000_000.25, 1_500_000_000.25))
        stored = put(tier, source)
        assert stored.url == f"swift://{tier.container}/{name_of(source)}"
        recorded = client_of(tier.connection).head_object(tier.container, name_of(source))
        assert recorded["x-object-meta-sha256"] == stored.sha256
        assert recorded["x-object-meta-mtime"] == "1500000000.250000"
        assert int(recorded["content-length"]) == size_bytes

    def test_segments_lie_apart_and_are_stored_once(self, tier: SwiftTier, source: Path) -> None:
        put(tier, source)
        segments = [name for name in names(tier) if name != name_of(source)]
        assert len(segments) == 3
        assert all(name.startswith(".haste-segments/") for name in segments)
        client_of(tier.connection).delete_object(tier.container, name_of(source))
        put(tier, source)
        assert sorted(names(tier)) == sorted([*segments, name_of(source)])

    def test_several_that_store_a_large_object_at_once(
        self, tier: SwiftTier, source: Path, tmp_path: Path
    ) -> None:
        with ThreadPoolExecutor(4) as pool:
            urls = {stored.url for stored in pool.map(lambda _: put(tier, source), range(8))}
        assert len(urls) == 1
        assert len(names(tier)) == 4
        found = fetch(urls.pop(), tmp_path, Access(tiers=[tier]))
        assert found.read_bytes() == source.read_bytes()

    def test_object_that_another_program_put_is_known_by_reading(self, tier: SwiftTier, source: Path) -> None:
        client_of(tier.connection).put_object(tier.container, name_of(source), source.read_bytes())
        assert put(tier, source).url == f"swift://{tier.container}/{name_of(source)}"
        assert names(tier) == [name_of(source)]

    def test_name_that_holds_something_else_is_left_alone(self, tier: SwiftTier, source: Path) -> None:
        other = bytes(source.stat().st_size)
        client_of(tier.connection).put_object(tier.container, name_of(source), other)
        assert name_of(source) not in put(tier, source).url
        assert client_of(tier.connection).get_object(tier.container, name_of(source))[1] == other

    def test_md5_alone_is_not_believed(self, tier: SwiftTier, source: Path) -> None:
        source.write_bytes(_MD5_ALIKE)
        etag = client_of(tier.connection).put_object(tier.container, name_of(source), _MD5_ALIKE_TOO)
        assert etag == hashlib.md5(_MD5_ALIKE).hexdigest()
        assert name_of(source) not in put(tier, source).url

    def test_expired_token_is_renewed(self, tier: SwiftTier, source: Path) -> None:
        put(tier, source)
        client_of(tier.connection).token = "AUTH_tk-expired"
        put(tier, source)


class Keystone(BaseHTTPRequestHandler):
    """Gives those who know the password, or the secret, the token of a Swift that has users of its own."""

    swift: Swift

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]["identity"]
        if not self.is_right(asked):
            self.answer(401, {}, {"error": {"code": 401, "message": "The request needs authentication."}})
            return
        given = self.swift.connection()
        token = requests.get(
            given["auth_url"], headers={"X-Auth-User": given["user"], "X-Auth-Key": given["key"]}, timeout=10
        )
        endpoint = {"id": "1", "interface": "public", "region_id": "north", "region": "north"}
        catalog = [
            {
                "type": "object-store",
                "name": "swift",
                "id": "2",
                "endpoints": [{**endpoint, "url": token.headers["X-Storage-Url"]}],
            }
        ]
        body = {"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": catalog, "methods": []}}
        self.answer(201, {"X-Subject-Token": token.headers["X-Auth-Token"]}, body)

    @staticmethod
    def is_right(asked: dict[str, Any]) -> bool:
        if asked["methods"] == ["password"]:
            user = asked["password"]["user"]
            return bool((user["name"], user["domain"]["name"], user["password"]) == ("ada", "lab", "s3cret"))
        return bool(asked["application_credential"] == {"id": "c1", "secret": "s3cret"})

    def answer(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def keystone(server: Swift) -> Iterator[str]:
    handler = type("Keystone", (Keystone,), {"swift": server})
    with HTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}/v3"
        web.shutdown()
        thread.join()


def by_keystone(tier: SwiftTier, url: str, **right: str) -> SwiftTier:
    return SwiftTier(
        driver="swift", container=tier.container, segment_bytes=SEGMENT_BYTES, auth_url=url, **right
    )


PASSWORD = {"user": "ada", "key": "s3cret", "project": "plates", "user_domain": "lab"}
CREDENTIAL = {"application_credential_id": "c1", "key": "s3cret", "region": "north"}


class TestKeystone:
    @pytest.mark.parametrize("right", [PASSWORD, CREDENTIAL])
    def test_password_and_application_credential(
        self, tier: SwiftTier, keystone: str, source: Path, tmp_path: Path, right: dict[str, str]
    ) -> None:
        theirs = by_keystone(tier, keystone, **right)
        stored = put(theirs, source)
        assert fetch(stored.url, tmp_path, Access(tiers=[theirs])).read_bytes() == source.read_bytes()
        client_of(theirs.connection).token = "AUTH_tk-expired"
        assert put(theirs, source) == stored

    @pytest.mark.parametrize(
        "right",
        [{**PASSWORD, "key": "hush"}, {**CREDENTIAL, "key": "hush"}, {**CREDENTIAL, "region": "south"}],
    )
    def test_wrong_right_is_told_without_the_secret(
        self, tier: SwiftTier, keystone: str, source: Path, tmp_path: Path, right: dict[str, str]
    ) -> None:
        theirs = by_keystone(tier, keystone, **right)
        with pytest.raises(PermanentError) as caught:
            put(theirs, source)
        assert "hush" not in str(caught.value)
        with pytest.raises(PermanentError):
            fetch(f"swift://{tier.container}/{name_of(source)}", tmp_path, Access(tiers=[theirs]))
        assert names(tier) == []

    def test_keystone_that_is_away_is_passing_trouble(
        self, tier: SwiftTier, source: Path, tmp_path: Path
    ) -> None:
        theirs = by_keystone(tier, f"http://127.0.0.1:{free_port()}/v3", **PASSWORD)
        with pytest.raises(TransientError, match="cannot be reached now"):
            put(theirs, source)
        with pytest.raises(TransientError):
            fetch(f"swift://{tier.container}/{name_of(source)}", tmp_path, Access(tiers=[theirs]))


def test_nothing_else_in_swift_is_read(tier: SwiftTier, source: Path, tmp_path: Path) -> None:
    url = put(tier, source).url
    for tiers in ([], [tier.model_copy(update={"prefix": "other"})]):
        with pytest.raises(SourceDeniedError, match="nothing else in Swift is read"):
            fetch(url, tmp_path, Access(tiers=tiers))

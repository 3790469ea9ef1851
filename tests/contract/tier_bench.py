"""What the contract of tier drivers asks of each kind of server: look into a tier, and break it."""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any, Protocol

from haste_core.routing import Roots, path_from_file_url
from haste_runtime.tiers import PosixTier, S3Tier, SwiftTier, Tier, TrashTier
from haste_workers.fetching import Access, fetch
from haste_workers.s3 import client_of as s3_client_of
from haste_workers.sources import local_path
from haste_workers.swift import client_of as swift_client_of
from haste_workers.tiers.by_name import open_tier
from haste_workers.tiers.storage import StoredObject, TierStorage
from tests.integration.tcp_proxy import TcpProxy
from tests.services.s3 import S3Server
from tests.services.swift import Swift

PREFIX = "deep/tierA"

PIECE_BYTES = 5 << 20
"""Larger objects go in parts; S3 has no smaller ones."""

_MARK = re.compile(r"~[0-9a-f]{16}(?=\.|$)")

_PUT = """
import json, sys
from pathlib import Path
from pydantic import TypeAdapter
from haste_runtime.tiers import Tier
from haste_workers.tiers.by_name import open_tier

tier = TypeAdapter(Tier).validate_python(json.loads(sys.stdin.read()))
open_tier("A", {"A": tier}, work_dir=Path("none")).put(Path(sys.argv[1]), stream_id="s", source_id="a.tif")
"""


class TierBench(Protocol):
    """A tier of one driver.

    Attributes
    ----------
    tier : Tier
        Its settings.
    """

    tier: Tier

    def names(self) -> set[str]:
        """List the objects by their names below the tier's root or prefix, without the marks of hashes."""

    def stamps(self) -> dict[str, Any]:
        """Tell of each object what a second storing would change."""

    def outside(self) -> set[str]:
        """List all that is beside the tier, where nothing may ever be written."""

    def begun(self) -> bool:
        """Tell whether a part of an object is there already."""


def opened(tier: Tier) -> TierStorage:
    return open_tier("A", {"A": tier}, work_dir=Path("none"))


def read_back(stored: StoredObject, tier: Tier) -> bytes:
    """Read an object as later tasks do: by its URL, with no other right than the tier's."""
    if isinstance(tier, PosixTier | TrashTier):
        assert tier.root is not None
        path = local_path(stored.url, Roots.parse({"tier": tier.root}))
        assert path == Path(path_from_file_url(stored.url))
        return path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        return fetch(stored.url, Path(folder), Access(buckets={}, tiers=[tier])).read_bytes()


def put_command(tier: Tier) -> tuple[str, str]:
    """Return a program that puts the file of its argument, and what it reads on its standard input."""
    openly = json.dumps(tier.model_dump(), default=lambda it: getattr(it, "get_secret_value", it.__str__)())
    return _PUT, openly


class FolderBench:
    """A tier in a folder."""

    def __init__(self, tier: PosixTier | TrashTier, folder: Path) -> None:
        assert tier.root is not None
        self.tier: Tier = tier
        self.root = tier.root
        self._folder = folder

    def names(self) -> set[str]:
        return set(self.stamps())

    def stamps(self) -> dict[str, Any]:
        paths = [path for path in self.root.rglob("*") if path.is_file() and path.suffix != ".part"]
        return {path.relative_to(self.root).as_posix(): path.stat().st_ino for path in paths}

    def outside(self) -> set[str]:
        above = {self.root, *self.root.parents}
        found = {path for path in self._folder.rglob("*") if not path.is_relative_to(self.root)}
        return {str(path) for path in found - above}

    def begun(self) -> bool:
        return self.root.is_dir() and any(path.stat().st_size for path in self.root.rglob("*.part"))


class S3Bench:
    """A tier in a new bucket of any server that speaks S3."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.tier: S3Tier = S3Tier(driver="s3", bucket=f"b{uuid.uuid4().hex}", prefix=PREFIX, **connection)
        self.url = f"s3://{self.tier.bucket}/{PREFIX}"
        self.client = s3_client_of(self.tier.connection)
        self.client.create_bucket(Bucket=self.tier.bucket)

    def names(self) -> set[str]:
        return {_MARK.sub("", name) for name in self.stamps()}

    def stamps(self) -> dict[str, Any]:
        objects = self._objects().items()
        below = f"{PREFIX}/"
        return {key.removeprefix(below): stamp for key, stamp in objects if key.startswith(below)}

    def outside(self) -> set[str]:
        return {key for key in self._objects() if not key.startswith(f"{PREFIX}/")}

    def begun(self) -> bool:
        return bool(self.uploads())

    def uploads(self) -> list[str]:
        listed = self.client.list_multipart_uploads(Bucket=self.tier.bucket)
        return [upload["Key"] for upload in listed.get("Uploads", [])]

    def store(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.tier.bucket, Key=key, Body=body)

    def remove(self) -> None:
        for key in self._objects():
            self.client.delete_object(Bucket=self.tier.bucket, Key=key)
        self.client.delete_bucket(Bucket=self.tier.bucket)

    def _objects(self) -> dict[str, Any]:
        listed = self.client.list_objects_v2(Bucket=self.tier.bucket)
        return {found["Key"]: (found["ETag"], found["LastModified"]) for found in listed.get("Contents", [])}


class SwiftBench:
    """A tier in a new container."""

    def __init__(self, connection: dict[str, str]) -> None:
        self.tier: SwiftTier = SwiftTier(
            driver="swift",
            container=uuid.uuid4().hex,
            prefix=PREFIX,
            segment_bytes=PIECE_BYTES,
            **connection,
        )
        self.url = f"swift://{self.tier.container}/{PREFIX}"
        self.client: Any = swift_client_of(self.tier.connection)
        self.client.put_container(self.tier.container)

    def names(self) -> set[str]:
        return {_MARK.sub("", name) for name in self.stamps()}

    def stamps(self) -> dict[str, Any]:
        below = f"{PREFIX}/"
        found = {
            name.removeprefix(below): it for name, it in self._objects().items() if name.startswith(below)
        }
        return {name: it for name, it in found.items() if not name.startswith(".haste-segments/")}

    def outside(self) -> set[str]:
        return {name for name in self._objects() if not name.startswith(f"{PREFIX}/")}

    def begun(self) -> bool:
        return bool(self._objects())

    def limit(self, size_bytes: int) -> None:
        """Let no more than this be stored."""
        self.client.post_container(self.tier.container, {"X-Container-Meta-Quota-Bytes": str(size_bytes)})
        return True

    def store(self, name: str, body: bytes) -> None:
        self.client.put_object(self.tier.container, name, body)

    def remove(self) -> None:
        for name in self._objects():
            self.client.delete_object(self.tier.container, name)
        self.client.delete_container(self.tier.container)

    def _objects(self) -> dict[str, Any]:
        listed = self.client.get_container(self.tier.container)[1]
        return {found["name"]: (found["hash"], found["last_modified"]) for found in listed}


def remote_bench(
    kind: str, server: S3Server | Swift, *, proxy: TcpProxy | None = None
) -> S3Bench | SwiftBench:
    """Make a tier on a server, reached through a proxy or directly."""
    if isinstance(server, S3Server):
        endpoint = {} if proxy is None else {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        return S3Bench({**server.connection, **endpoint})
    port = None if proxy is None else proxy.port
    if kind == "swift":
        return SwiftBench(server.connection(port))
    return S3Bench({**server.s3_connection(port), "conditional_writes": False})

"""Containers in tiers: what every driver promises of folders that are one object."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haste_core.errors import BadInputError, SourceMissingError
from haste_core.routing import Roots
from haste_runtime.tiers import PosixTier, Tier, TrashTier
from haste_workers import durable
from haste_workers.durable import sha256_of, size_of
from haste_workers.fetching import Access, fetch
from haste_workers.sources import local_path
from haste_workers.tiers import posix
from haste_workers.tiers.objects import ObjectTierStorage
from haste_workers.tiers.storage import StoredObject
from tests.contract.tier_bench import PREFIX, FolderBench, S3Bench, SwiftBench, TierBench, opened

FILES = {".zattrs": b"{}", "0/.zarray": b'{"shape": [2]}', "0/0": b"chunk" * 999, "0/1 µ%": b"", "1/0": b"1"}


@pytest.fixture
def container(tmp_path: Path) -> Path:
    path = tmp_path / "plate.zarr"
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "empty").mkdir()
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_back(stored: StoredObject, tier: Tier) -> dict[str, bytes]:
    """Read a container as later tasks do."""
    if isinstance(tier, PosixTier | TrashTier):
        return files_of(local_path(stored.url, Roots.parse({"tier": str(tier.root)})))
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch(stored.url, Path(folder), Access(buckets={}, tiers=[tier]))
        assert fetched.suffix == ".zarr"
        return files_of(fetched)


def test_all_of_it_is_there_and_the_source_stays(area: TierBench, container: Path) -> None:
    stored = opened(area.tier).put(
        container, stream_id="s", source_id="a/plate.zarr", sha256=sha256_of(container)
    )
    assert read_back(stored, area.tier) == FILES == files_of(container)
    assert (stored.sha256, stored.size_bytes) == (sha256_of(container), size_of(container))
    inside = {f"s/a/plate.zarr/{name}" for name in FILES}
    assert area.names() - {"s/a/plate.zarr.sha256sums"} == inside


def test_the_list_beside_it_is_what_sha256sum_prints(remote: S3Bench | SwiftBench, container: Path) -> None:
    stored = opened(remote.tier).put(container, stream_id="s", source_id="plate")
    with tempfile.TemporaryDirectory() as folder:
        access = Access(buckets={}, tiers=[remote.tier])
        listed = fetch(f"{stored.url}.sha256sums", Path(folder), access).read_bytes()
    lines = [f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES)]
    assert listed == "".join(lines).encode()
    assert hashlib.sha256(listed).hexdigest() == stored.sha256


def test_again_changes_nothing(area: TierBench, container: Path) -> None:
    first = opened(area.tier).put(container, stream_id="s", source_id="plate.zarr")
    stamps = area.stamps()
    assert opened(area.tier).put(container, stream_id="s", source_id="plate") == first
    assert area.stamps() == stamps


def test_other_content_gets_a_name_of_its_own(area: TierBench, container: Path) -> None:
    tier = opened(area.tier)
    first = tier.put(container, stream_id="s", source_id="plate.zarr")
    (container / "1/0").write_bytes(b"2")
    second = tier.put(container, stream_id="s", source_id="plate.zarr")
    assert first.url != second.url
    assert read_back(first, area.tier) == FILES
    assert read_back(second, area.tier) == {**FILES, "1/0": b"2"}


def test_a_file_of_that_name_stays(area: TierBench, container: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.zarr"
    file.write_bytes(b"no folder")
    tier = opened(area.tier)
    for first, second in ((file, container), (container, file)):
        for source in (first, second):
            tier.put(source, stream_id=first.name, source_id="x.zarr")
    kept = [content for name, content in _contents(area).items() if not name.endswith(".sha256sums")]
    assert kept.count(b"no folder") == 2
    assert kept.count(FILES["0/0"]) == 2


def _contents(area: TierBench) -> dict[str, bytes]:
    """Read all files of a tier, each as a file."""
    if isinstance(area, S3Bench):
        keys = {name: {"Bucket": area.tier.bucket, "Key": f"{PREFIX}/{name}"} for name in area.stamps()}
        return {name: area.client.get_object(**key)["Body"].read() for name, key in keys.items()}
    if isinstance(area, SwiftBench):
        container = area.tier.container
        return {name: area.client.get_object(container, f"{PREFIX}/{name}")[1] for name in area.stamps()}
    assert isinstance(area, FolderBench)
    return {name: (area.root / name).read_bytes() for name in area.stamps()}


def test_what_was_not_decided_about_is_refused(area: TierBench, container: Path) -> None:
    tier = opened(area.tier)
    with pytest.raises(BadInputError, match="has changed"):
        tier.put(container, stream_id="s", source_id="plate.zarr", sha256="0" * 64)
    assert area.names() == set()


def test_links_are_refused(area: TierBench, container: Path) -> None:
    (container / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadInputError, match="link"):
        opened(area.tier).put(container, stream_id="s", source_id="plate.zarr")
    assert area.names() == set()


class _CutError(Exception):
    """Somebody has cut the power."""


class _Steps:
    """Lets so many steps be done, and none more."""

    def __init__(self, allowed: int) -> None:
        self._left = allowed

    def of(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if not self._left:
                raise _CutError
            self._left -= 1
            return original(*arguments, **named)

        return step


@pytest.mark.parametrize("steps", range(len(FILES) + 1))
def test_half_of_it_is_never_taken_for_whole(
    area: TierBench, container: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier, allowed = opened(area.tier), _Steps(steps)
    with monkeypatch.context() as patch:
        if isinstance(tier, ObjectTierStorage):
            patch.setattr(tier._store, "send", allowed.of(tier._store.send))
        else:
            patch.setattr(durable, "_copy", allowed.of(durable._copy))
            patch.setattr(posix, "publish", allowed.of(posix.publish))
        with pytest.raises(_CutError):
            tier.put(container, stream_id="s", source_id="plate.zarr")
    assert not any(name.endswith(".sha256sums") for name in area.names())
    if isinstance(area, S3Bench | SwiftBench):
        url = f"{area.url}/s/plate~{sha256_of(container)[:16]}.zarr"
        with pytest.raises(SourceMissingError, match="list of its files"):
            fetch(url, container.parent, Access(buckets={}, tiers=[area.tier]))
    else:
        assert area.names() == set()
    stored = opened(area.tier).put(container, stream_id="s", source_id="plate.zarr")
    assert read_back(stored, area.tier) == FILES

"""What every tier driver promises; each driver runs all of it."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haste_core.errors import BadInputError, PermanentError, SourceMissingError
from haste_core.routing import path_from_file_url
from haste_workers.tiers.posix import PosixTierStorage
from haste_workers.tiers.storage import StoredObject, TierStorage

OpenTier = Callable[[Path], TierStorage]

HOSTILE_NAMES = [
    "../outside.tif",
    "../../outside.tif",
    "a/../../../outside.tif",
    "..",
    ".",
    "/etc/passwd",
    "//server/share/x.tif",
    "C:\\Windows\\x.tif",
    "..\\..\\outside.tif",
    "nul\x00byte.tif",
    "line\nbreak.tif",
    "CON",
    "aux.tif",
    "trailing.",
    "trailing ",
    "x" * 300,
    "x" * 300 + ".tif",
    "ü" * 255,
    "/".join("abcdefghij" * 10),
    "%2e%2e/x.tif",
    "~",
    "-rf",
    "*?<>|:.tif",
    "",
    "/",
    "\ud800.tif",
    ".haste-incoming",
]


@pytest.fixture(params=[PosixTierStorage], ids=["posix"])
def open_tier(request: pytest.FixtureRequest) -> OpenTier:
    driver: OpenTier = request.param
    return driver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "down" / "tierA"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(os.urandom(3_000_000))
    return path


def content(stored: StoredObject) -> bytes:
    return Path(path_from_file_url(stored.url)).read_bytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestPut:
    def test_content_is_there_and_the_source_stays(
        self, open_tier: OpenTier, root: Path, source: Path
    ) -> None:
        before = source.read_bytes()
        stored = open_tier(root).put(source, stream_id="plate7", source_id="A01/site 1.tif")
        assert content(stored) == before == source.read_bytes()
        assert (stored.sha256, stored.size_bytes) == (sha256(before), len(before))
        assert files_below(root) == {"plate7/A01/site 1.tif"}

    @pytest.mark.parametrize(
        ("source_id", "name"),
        [
            ("A01", "plate7/A01.tif"),
            ("A01.tif", "plate7/A01.tif"),
            ("A01.TIF", "plate7/A01.TIF"),
            ("A01.ome", "plate7/A01.ome.tif"),
            ("Größe µm/Ω.tif", "plate7/Größe µm/Ω.tif"),
        ],
    )
    def test_ordinary_names_stay_and_get_the_suffix_of_the_data(
        self, open_tier: OpenTier, root: Path, source: Path, source_id: str, name: str
    ) -> None:
        open_tier(root).put(source, stream_id="plate7", source_id=source_id)
        assert files_below(root) == {name}

    def test_empty_file(self, open_tier: OpenTier, root: Path, tmp_path: Path) -> None:
        empty = tmp_path / "empty.tif"
        empty.touch()
        assert open_tier(root).put(empty, stream_id="s", source_id="e").size_bytes == 0

    def test_again_changes_nothing(self, open_tier: OpenTier, root: Path, source: Path) -> None:
        first = open_tier(root).put(source, stream_id="s", source_id="a.tif")
        changed = (root / "s" / "a.tif").stat().st_mtime_ns
        assert open_tier(root).put(source, stream_id="s", source_id="a.tif") == first
        assert (root / "s" / "a.tif").stat().st_mtime_ns == changed
        assert files_below(root) == {"s/a.tif"}

    def test_other_content_gets_a_name_of_its_own(
        self, open_tier: OpenTier, root: Path, source: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.tif"
        other.write_bytes(b"other pixels")
        tier = open_tier(root)
        first = tier.put(source, stream_id="s", source_id="a.tif")
        second = tier.put(other, stream_id="s", source_id="a.tif")
        assert first.url != second.url
        assert content(first) == source.read_bytes()
        assert content(second) == b"other pixels"
        assert tier.put(other, stream_id="s", source_id="a.tif") == second
        assert tier.put(source, stream_id="s", source_id="a.tif") == first
        assert len(files_below(root)) == 2

    def test_file_and_folder_of_one_name(self, open_tier: OpenTier, root: Path, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.write_bytes(b"1")
        tier = open_tier(root)
        stored = [tier.put(plain, stream_id="s", source_id=name) for name in ("a", "a/b", "c/d", "c")]
        assert [content(each) for each in stored] == [b"1"] * 4

    def test_what_was_not_decided_about_is_refused(
        self, open_tier: OpenTier, root: Path, source: Path
    ) -> None:
        tier = open_tier(root)
        with pytest.raises(BadInputError, match="has changed"):
            tier.put(source, stream_id="s", source_id="a.tif", sha256="0" * 64)
        assert files_below(root) == set()
        tier.put(source, stream_id="s", source_id="a.tif", sha256=sha256(source.read_bytes()))
        with pytest.raises(BadInputError, match="has changed"):
            tier.put(source, stream_id="s", source_id="a.tif", sha256="0" * 64)

    def test_missing_source(self, open_tier: OpenTier, root: Path, tmp_path: Path) -> None:
        with pytest.raises(SourceMissingError, match=r"gone\.tif"):
            open_tier(root).put(tmp_path / "gone.tif", stream_id="s", source_id="a.tif")


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_nothing_leaves_the_tier(self, open_tier: OpenTier, root: Path, source: Path, name: str) -> None:
        outside_before = {path for path in root.parents[2].rglob("*") if not path.is_relative_to(root)}
        tier = open_tier(root)
        for stream_id, source_id in (("plate7", name), (name, "a.tif"), (name, name)):
            stored = tier.put(source, stream_id=stream_id, source_id=source_id)
            path = Path(path_from_file_url(stored.url))
            assert path.resolve() == path
            assert path.is_relative_to(root)
            assert content(stored) == source.read_bytes()
        outside = {path for path in root.parents[2].rglob("*") if not path.is_relative_to(root)}
        assert outside - {root.parent, root.parent.parent} == outside_before

    def test_different_names_stay_apart(self, open_tier: OpenTier, root: Path, tmp_path: Path) -> None:
        tier = open_tier(root)
        urls = set()
        names = ["a.tif", "A.tif", "a%2etif", "é.tif", "e\u0301.tif", "x" * 300, "x" * 301, "../a.tif"]
        for number, name in enumerate(names):
            source = tmp_path / f"{number}.tif"
            source.write_bytes(str(number).encode())
            stored = tier.put(source, stream_id="s", source_id=name)
            assert content(stored) == str(number).encode()
            urls.add(stored.url)
        assert len(urls) == len(names)

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(stream_id=st.text(max_size=300), source_id=st.text(max_size=300))
    def test_any_text_is_a_name(
        self, open_tier: OpenTier, root: Path, tmp_path: Path, stream_id: str, source_id: str
    ) -> None:
        source = tmp_path / "small.tif"
        source.write_bytes(b"pixels")
        stored = open_tier(root).put(source, stream_id=stream_id, source_id=source_id)
        assert Path(path_from_file_url(stored.url)).resolve().is_relative_to(root)
        assert content(stored) == b"pixels"

    def test_link_that_leads_out_is_refused(
        self, open_tier: OpenTier, root: Path, source: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        root.mkdir(parents=True)
        (root / "plate7").symlink_to(outside)
        with pytest.raises(PermanentError, match="leads out of the tier"):
            open_tier(root).put(source, stream_id="plate7", source_id="a.tif")
        assert list(outside.iterdir()) == []

    def test_link_that_leads_out_is_refused_also_where_the_object_is(
        self, open_tier: OpenTier, root: Path, source: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "a.tif").write_bytes(source.read_bytes())
        root.mkdir(parents=True)
        (root / "plate7").symlink_to(outside)
        with pytest.raises(PermanentError, match="leads out of the tier"):
            open_tier(root).put(source, stream_id="plate7", source_id="a.tif")

    def test_link_with_the_name_of_the_object_is_not_followed(
        self, open_tier: OpenTier, root: Path, source: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside.tif"
        outside.write_bytes(b"mine")
        (root / "s").mkdir(parents=True)
        (root / "s" / "a.tif").symlink_to(outside)
        stored = open_tier(root).put(source, stream_id="s", source_id="a.tif")
        assert content(stored) == source.read_bytes()
        assert outside.read_bytes() == b"mine"


class TestInterruption:
    def test_killed_put_leaves_nothing_under_the_name_and_can_be_repeated(
        self, open_tier: OpenTier, root: Path, tmp_path: Path
    ) -> None:
        source = tmp_path / "large.tif"
        source.write_bytes(os.urandom(1_000_000) * 60)
        driver = type(open_tier(root))
        program = (
            f"from {driver.__module__} import {driver.__name__} as D; from pathlib import Path; "
            f"D(Path({str(root)!r})).put(Path({str(source)!r}), stream_id='s', source_id='a.tif')"
        )
        with subprocess.Popen([sys.executable, "-c", program]) as process:
            deadline = time.monotonic() + 30
            while not (root.is_dir() and any(path.stat().st_size for path in root.rglob("*.part"))):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.kill()
        assert not (root / "s" / "a.tif").exists()
        stored = open_tier(root).put(source, stream_id="s", source_id="a.tif")
        assert content(stored) == source.read_bytes()

    def test_remains_of_killed_puts_are_removed_a_day_later(
        self, open_tier: OpenTier, root: Path, source: Path
    ) -> None:
        incoming = root / ".haste-incoming"
        incoming.mkdir(parents=True)
        old, new = incoming / "old.part", incoming / "new.part"
        for part in (old, new):
            part.write_bytes(b"half")
        os.utime(old, (time.time() - 100_000,) * 2)
        open_tier(root).put(source, stream_id="s", source_id="a.tif")
        assert not old.exists()
        assert new.exists()

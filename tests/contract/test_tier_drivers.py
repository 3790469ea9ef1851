"""What every tier driver promises; each driver runs all of it."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haste_core.errors import (
    BadInputError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_workers.fetching import Access, fetch
from tests.contract.tier_bench import PIECE_BYTES, PREFIX, S3Bench, SwiftBench, TierBench, opened, read_back

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
    "/".join(["segment-" * 20] * 40),
    "\uffff\ufffe\u2028.tif",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(os.urandom(300_000))
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_trying_to_write_leaves_nothing(area: TierBench, source: Path) -> None:
    before = area.outside()
    for _ in range(2):
        opened(area.tier).try_writing()
    assert (area.names(), area.outside()) == (set(), before)
    opened(area.tier).put(source, stream_id="plate7", source_id="A01.tif")
    opened(area.tier).try_writing()
    assert area.names() == {"plate7/A01.tif"}


class TestPut:
    def test_content_is_there_and_the_source_stays(self, area: TierBench, source: Path) -> None:
        before = source.read_bytes()
        stored = opened(area.tier).put(source, stream_id="plate7", source_id="A01/site 1.tif")
        assert read_back(stored, area.tier) == before == source.read_bytes()
        assert (stored.sha256, stored.size_bytes) == (sha256(before), len(before))
        assert area.names() == {"plate7/A01/site 1.tif"}

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
        self, area: TierBench, source: Path, source_id: str, name: str
    ) -> None:
        opened(area.tier).put(source, stream_id="plate7", source_id=source_id)
        assert area.names() == {name}

    def test_empty_file(self, area: TierBench, tmp_path: Path) -> None:
        empty = tmp_path / "empty.tif"
        empty.touch()
        for _ in range(2):
            stored = opened(area.tier).put(empty, stream_id="s", source_id="e")
            assert (stored.size_bytes, stored.sha256) == (0, sha256(b""))
            assert read_back(stored, area.tier) == b""

    @pytest.mark.parametrize("size_bytes", [300_000, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 7])
    def test_again_changes_nothing(self, area: TierBench, source: Path, size_bytes: int) -> None:
        source.write_bytes(os.urandom(2**12) + bytes(size_bytes - 2**12))
        first = opened(area.tier).put(source, stream_id="s", source_id="a.tif")
        stamps = area.stamps()
        assert opened(area.tier).put(source, stream_id="s", source_id="a.tif") == first
        assert opened(area.tier).put(source, stream_id="s", source_id="a", sha256=first.sha256) == first
        assert area.stamps() == stamps
        assert len(stamps) == 1
        assert area.names() == {"s/a.tif"}
        assert sha256(read_back(first, area.tier)) == first.sha256 == sha256(source.read_bytes())

    @pytest.mark.parametrize("other", [b"other pixels", None], ids=["size", "bits"])
    def test_other_content_gets_a_name_of_its_own(
        self, area: TierBench, source: Path, tmp_path: Path, other: bytes | None
    ) -> None:
        content = other or bytes(byte ^ 1 for byte in source.read_bytes())
        second_source = tmp_path / "other.tif"
        second_source.write_bytes(content)
        tier = opened(area.tier)
        first = tier.put(source, stream_id="s", source_id="a.tif")
        second = tier.put(second_source, stream_id="s", source_id="a.tif")
        assert first.url != second.url
        assert read_back(first, area.tier) == source.read_bytes()
        assert read_back(second, area.tier) == content
        assert tier.put(second_source, stream_id="s", source_id="a.tif") == second
        assert tier.put(source, stream_id="s", source_id="a.tif") == first
        assert len(area.stamps()) == 2

    def test_file_and_folder_of_one_name(self, area: TierBench, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.write_bytes(b"1")
        tier = opened(area.tier)
        stored = [tier.put(plain, stream_id="s", source_id=name) for name in ("a", "a/b", "c/d", "c")]
        assert [read_back(each, area.tier) for each in stored] == [b"1"] * 4

    def test_what_was_not_decided_about_is_refused(self, area: TierBench, source: Path) -> None:
        tier = opened(area.tier)
        with pytest.raises(BadInputError, match="has changed"):
            tier.put(source, stream_id="s", source_id="a.tif", sha256="0" * 64)
        assert area.names() == set()
        tier.put(source, stream_id="s", source_id="a.tif", sha256=sha256(source.read_bytes()))
        with pytest.raises(BadInputError, match="has changed"):
            tier.put(source, stream_id="s", source_id="a.tif", sha256="0" * 64)
        assert area.names() == {"s/a.tif"}

    def test_large_file_that_was_not_decided_about_leaves_nothing(
        self, area: TierBench, source: Path
    ) -> None:
        os.truncate(source, 2 * PIECE_BYTES + 1)
        with pytest.raises(BadInputError, match="has changed"):
            opened(area.tier).put(source, stream_id="s", source_id="a.tif", sha256="0" * 64)
        assert area.names() == set()
        if isinstance(area, S3Bench):
            assert area.uploads() == []

    def test_missing_source(self, area: TierBench, tmp_path: Path) -> None:
        for told in (None, "0" * 64):
            with pytest.raises(SourceMissingError, match=r"gone\.tif"):
                opened(area.tier).put(tmp_path / "gone.tif", stream_id="s", source_id="a.tif", sha256=told)


class TestTwoAtOnce:
    def test_of_the_same_object_leave_one(self, area: TierBench, source: Path) -> None:
        def put(_: int) -> str:
            return opened(area.tier).put(source, stream_id="s", source_id="a.tif").url

        with ThreadPoolExecutor(4) as pool:
            urls = set(pool.map(put, range(8)))
        assert len(urls) == len(area.stamps()) == 1

    def test_of_other_content_both_stay(self, area: TierBench, tmp_path: Path) -> None:
        sources = [tmp_path / f"{number}.tif" for number in range(8)]
        for number, source in enumerate(sources):
            source.write_bytes(bytes([number]) * 100_000)

        def put(source: Path) -> bytes:
            stored = opened(area.tier).put(source, stream_id="s", source_id="a.tif")
            return read_back(stored, area.tier)

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(put, sources))
        assert found == [source.read_bytes() for source in sources]
        assert len(area.stamps()) == 8


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_nothing_leaves_the_tier(self, area: TierBench, source: Path, name: str) -> None:
        before = area.outside()
        tier = opened(area.tier)
        for stream_id, source_id in (("plate7", name), (name, "a.tif"), (name, name)):
            stored = tier.put(source, stream_id=stream_id, source_id=source_id)
            assert read_back(stored, area.tier) == source.read_bytes()
        assert area.outside() == before
        assert len(area.stamps()) == 3

    def test_different_names_stay_apart(self, area: TierBench, tmp_path: Path) -> None:
        tier = opened(area.tier)
        urls = set()
        names = ["a.tif", "A.tif", "a%2etif", "é.tif", "e\u0301.tif", "x" * 300, "x" * 301, "../a.tif"]
        names += ["/".join(["y" * 150] * 20 + [end]) for end in ("1", "2")]
        for number, name in enumerate(names):
            source = tmp_path / f"{number}.tif"
            source.write_bytes(str(number).encode())
            stored = tier.put(source, stream_id="s", source_id=name)
            assert read_back(stored, area.tier) == str(number).encode()
            urls.add(stored.url)
        assert len(urls) == len(names)

    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(stream_id=st.text(max_size=300), source_id=st.text(max_size=300))
    def test_any_text_is_a_name(
        self, area: TierBench, tmp_path: Path, stream_id: str, source_id: str
    ) -> None:
        source = tmp_path / "small.tif"
        source.write_bytes(b"pixels")
        before = area.outside()
        stored = opened(area.tier).put(source, stream_id=stream_id, source_id=source_id)
        assert read_back(stored, area.tier) == b"pixels"
        assert area.outside() == before


class TestReading:
    """Later tasks read what lies in a tier, and nothing else by the tier's right."""

    def test_nothing_beside_the_tier(self, remote: S3Bench | SwiftBench, tmp_path: Path) -> None:
        start = remote.url.removesuffix(PREFIX)
        for name in ("beside.tif", "deep/tierAB/x.tif", "deep/tierA/../beside.tif"):
            remote.store(name, b"not yours")
            with pytest.raises(SourceDeniedError):
                fetch(f"{start}{name}", tmp_path, Access(buckets={}, tiers=[remote.tier]))

    def test_missing_object(self, remote: S3Bench | SwiftBench, tmp_path: Path) -> None:
        with pytest.raises(SourceMissingError):
            fetch(f"{remote.url}/none.tif", tmp_path, Access(buckets={}, tiers=[remote.tier]))


def allow() -> None:
    """Find nothing that speaks against removing."""


class TestRemoving:
    """An object that was copied elsewhere goes from its tier; nothing else ever does."""

    @pytest.mark.parametrize("size_bytes", [0, 300_000, 2 * PIECE_BYTES + 7])
    def test_content_that_was_copied_goes_wholly(
        self, area: TierBench, source: Path, size_bytes: int
    ) -> None:
        os.truncate(source, size_bytes)
        tier = opened(area.tier)
        before = area.outside()
        stored = tier.put(source, stream_id="s", source_id="a ü#?.tif")
        neighbour = tier.put(source, stream_id="s", source_id="b.tif")
        assert tier.covers(stored.url)
        assert tier.holds(stored.url, stored.sha256)
        tier.remove(stored.url, stored.sha256, confirm=allow)
        assert not tier.holds(stored.url, stored.sha256)
        assert area.names() == {"s/b.tif"}
        assert sha256(read_back(neighbour, area.tier)) == stored.sha256
        tier.remove(neighbour.url, neighbour.sha256, confirm=allow)
        assert area.names() == set()
        assert area.outside() == before
        if isinstance(area, SwiftBench):
            assert not area.begun(), "no segment is left"

    def test_an_object_of_which_nothing_is_recorded_is_read(self, area: TierBench) -> None:
        if not isinstance(area, S3Bench | SwiftBench):
            pytest.skip("files are always read")
        area.store(f"{PREFIX}/s/a.tif", b"pixels")
        tier, url = opened(area.tier), f"{area.url}/s/a.tif"
        assert not tier.holds(url, sha256(b"other"))
        assert tier.holds(url, sha256(b"pixels"))
        tier.remove(url, sha256(b"pixels"), confirm=allow)
        assert area.names() == set()

    def test_what_is_gone_already_is_fine(self, area: TierBench, source: Path) -> None:
        tier = opened(area.tier)
        stored = tier.put(source, stream_id="s", source_id="a.tif")
        for _ in range(2):
            tier.remove(stored.url, stored.sha256, confirm=allow)
        assert area.names() == set()
        assert tier.put(source, stream_id="s", source_id="a.tif") == stored
        assert area.names() == {"s/a.tif"}

    def test_other_content_stays(self, area: TierBench, source: Path) -> None:
        tier = opened(area.tier)
        stored = tier.put(source, stream_id="s", source_id="a.tif")
        stamps = area.stamps()
        assert not tier.holds(stored.url, sha256(b"other"))
        with pytest.raises(PermanentError, match="has changed since it was copied"):
            tier.remove(stored.url, sha256(b"other"), confirm=allow)
        assert area.stamps() == stamps
        assert tier.holds(stored.url, stored.sha256)

    def test_nothing_goes_that_is_not_confirmed(self, area: TierBench, source: Path) -> None:
        def refuse() -> None:
            raise TransientError("no copy")

        tier = opened(area.tier)
        stored = tier.put(source, stream_id="s", source_id="a.tif")
        stamps = area.stamps()
        with pytest.raises(TransientError, match="no copy"):
            tier.remove(stored.url, stored.sha256, confirm=refuse)
        assert area.stamps() == stamps
        assert read_back(stored, area.tier) == source.read_bytes()

    def test_nothing_beside_the_tier_is_looked_at_or_removed(
        self, area: TierBench, source: Path, tmp_path: Path
    ) -> None:
        tier = opened(area.tier)
        url = tier.put(source, stream_id="s", source_id="a.tif").url
        content = sha256(source.read_bytes())
        start = url[: url.index("tierA")]
        beside = ["x.tif", "tierAB/x.tif", "tierA/../x.tif", "tierA/%2e%2e/x.tif"]
        for wrong in [*(start + name for name in beside), source.as_uri(), "http://host/tierA/s/a.tif"]:
            assert not tier.covers(wrong)
            for act in (tier.holds, lambda *it: tier.remove(*it, confirm=allow)):
                with pytest.raises(PermanentError, match="is not in the tier"):
                    act(wrong, content)
        assert sha256(source.read_bytes()) == content
        assert area.names() == {"s/a.tif"}

    def test_two_at_once_are_both_content(self, area: TierBench, source: Path) -> None:
        tier = opened(area.tier)
        stored = tier.put(source, stream_id="s", source_id="a.tif")
        with ThreadPoolExecutor(4) as pool:
            for each in [
                pool.submit(opened(area.tier).remove, stored.url, stored.sha256, confirm=allow)
                for _ in range(4)
            ]:
                each.result()
        assert area.names() == set()

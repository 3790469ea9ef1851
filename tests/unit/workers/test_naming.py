"""Names of copies: ordinary ids stay, hostile ones cannot harm."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_workers.naming import marked, object_name


@pytest.mark.parametrize(
    "source_id",
    ["A01.tif", "plate7/A01_s1.tif", "a/b/c d/é µ.ome.tif", "x", "2026-01-01T10.00.tif", "~x", "#1 (2).tif"],
)
def test_ordinary_ids_stay(source_id: str) -> None:
    assert object_name(source_id) == PurePosixPath(source_id)


@pytest.mark.parametrize(
    ("source_id", "suffix", "name"),
    [
        ("A01", ".tif", "A01.tif"),
        ("A01.TIF", ".tif", "A01.TIF"),
        ("A01.ome", ".tif", "A01.ome.tif"),
        ("A01", "", "A01"),
        ("A01", ".ha ha", "A01"),
        (".tif", ".tif", "_.tif"),
    ],
)
def test_suffix_is_added_where_it_lacks(source_id: str, suffix: str, name: str) -> None:
    assert str(object_name(source_id, suffix=suffix)) == name


@pytest.mark.parametrize(
    ("source_id", "name"),
    [
        ("..", "%2e%2e"),
        ("a/../b", "a/%2e%2e/b"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\x", "C%3a/x"),
        ("nul.tif", "%6eul.tif"),
        ("dot.", "dot%2e"),
        ("", "_"),
        ("50%", "50%25"),
    ],
)
def test_hostile_ids_are_encoded(source_id: str, name: str) -> None:
    assert str(object_name(source_id)) == name


@given(st.text(max_size=400), st.sampled_from(["", ".tif", ".TIFF", "..", "./x"]))
def test_every_name_is_safe(source_id: str, suffix: str) -> None:
    name = object_name(source_id, suffix=suffix)
    assert not name.is_absolute()
    assert name.parts
    for part in name.parts:
        assert part not in ("", ".", "..")
        assert len(part.encode()) <= 220
        assert not set(part) & set('\x00/\\:*?"<>|\n')
        assert part[-1] not in ". "


@given(st.text(alphabet="abcAB./%~ é", min_size=1, max_size=20), st.text(alphabet="abcAB./%~ é", max_size=20))
def test_different_ids_get_different_names(first: str, second: str) -> None:
    def segments(text: str) -> list[str]:
        return [part for part in text.split("/") if part not in ("", ".")] or ["_"]

    if segments(first) != segments(second):
        assert object_name(first) != object_name(second)


def test_mark_stands_before_the_extension() -> None:
    assert str(marked(PurePosixPath("s/a.tif"), "0f")) == "s/a~0f.tif"

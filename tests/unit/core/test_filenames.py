"""What names say, and which of them say the same."""

from __future__ import annotations

import pytest

from haste_core.errors import InvalidError
from haste_core.filenames import MAX_CHARACTERS, NamePattern, NameReader, ParsedName

PLAIN = NamePattern(
    name="plain", patterns=(r"(?P<well>[A-Z]+\d+)(?:_s(?P<site>[^_.]+))?(?:_(?P<channel>\w+))?\.tif",)
)


def test_numbers_lose_their_zeros_and_text_stays_as_it_is() -> None:
    pattern = NamePattern(
        name="all",
        patterns=(
            r"^(?P<plate>.+)/(?P<row>\w+)-(?P<column>\d+)_(?P<site>.+)_(?P<channel>\w+)_(?P<z>.+)_(?P<t>.+)$",
        ),
    )
    assert pattern.parse("007/af-048_012_003_-04_005") == ParsedName("007", "AF48", 12, "3", -4, 5)
    assert pattern.parse("p/2-3_left_DAPI_1.5_00d01h") == ParsedName(
        "p", "B03", "left", "DAPI", "1.5", "00d01h"
    )


def test_what_a_name_does_not_say_is_none() -> None:
    name = PLAIN.parse("B7.tif")
    assert name == ParsedName(well="B07")
    assert name.fields() == {"well": "B07"}
    assert str(ParsedName("p", "A01", 2)) == "plate p, well A01, site 2"


def test_the_first_expression_that_fits_counts() -> None:
    pattern = NamePattern(name="two", patterns=(r"s(?P<site>\d)", r"(?P<well>A\d\d)"))
    assert pattern.parse("A01_s1") == ParsedName(site=1)
    assert pattern.parse("A01") == ParsedName(well="A01")


def test_an_expression_that_finds_nothing_to_say_does_not_fit() -> None:
    assert NamePattern(name="n", patterns=(r"x(?P<site>\d)?",)).parse("x") is None


def test_a_path_longer_than_an_object_may_be_called_is_not_read() -> None:
    end = "_A01.tif"
    assert PLAIN.parse("x" * (MAX_CHARACTERS - len(end)) + end)
    assert PLAIN.parse("x" * (MAX_CHARACTERS - len(end) + 1) + end) is None


def test_upper_and_lower_case_are_the_same() -> None:
    assert PLAIN.parse("a01_S3_dapi.TIF") == ParsedName(None, "A01", 3, "dapi")


def test_names_that_say_the_same_are_told() -> None:
    read = NameReader(PLAIN).read(["x/A01_s1.tif", "A1_s01.tif", "B01_s1.tif", "huh.tif"])
    assert read.parsed == {"B01_s1.tif": ParsedName(well="B01", site=1)}
    assert [str(problem) for problem in read.unparsed] == [
        "x/A01_s1.tif: says the same as A1_s01.tif (well A01, site 1)",
        "A1_s01.tif: says the same as x/A01_s1.tif (well A01, site 1)",
        "huh.tif: does not fit the names of plain",
    ]


def test_names_that_come_later_are_compared_with_those_before() -> None:
    reader = NameReader(PLAIN)
    assert reader.read(["A01.tif"]).parsed
    assert [problem.where for problem in reader.read(["a1.tif", "B01.tif"]).unparsed] == ["a1.tif"]
    assert [problem.where for problem in reader.read(["A01.tif"]).unparsed] == ["A01.tif"]
    assert not reader.read(["B01.tif"]).unparsed  # a new version of an image that is known


def test_every_problem_of_a_pattern_is_told_at_once() -> None:
    with pytest.raises(InvalidError) as caught:
        NamePattern.from_json({"patterns": ["(", "x"], "ignore": ["(a+)+"], "plate_columns": 49, "more": 1})
    assert {problem.where for problem in caught.value.problems} == {
        "name",
        "patterns[0]",
        "patterns[1]",
        "ignore[0]",
        "plate_columns",
        "more",
    }


def test_a_pattern_without_expressions_is_refused() -> None:
    with pytest.raises(InvalidError, match="'patterns' is empty"):
        NamePattern.from_json({"name": "none", "patterns": []})

"""Wells as text and as places."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.wells import Well, row_number

wells = st.builds(Well, row=st.integers(1, 32), column=st.integers(1, 48))


@given(wells)
def test_a_well_is_read_back_however_it_is_written(well: Well) -> None:
    letters = str(well)[:-2]
    assert Well.parse(str(well)) == well
    assert Well.parse(f"{letters.lower()}{well.column}") == well
    assert Well.parse(f" {letters} - {well.column:03d}") == well


@given(wells, st.sampled_from([12, 24, 48]))
def test_a_well_is_found_by_its_number(well: Well, columns: int) -> None:
    if well.column <= columns:
        assert Well.numbered((well.row - 1) * columns + well.column, columns) == well


def test_the_names_of_all_wells_of_1536() -> None:
    rows = [*string.ascii_uppercase, "AA", "AB", "AC", "AD", "AE", "AF"]
    expected = [f"{row}{column:02d}" for row in rows for column in range(1, 49)]
    assert [str(Well.numbered(number, 48)) for number in range(1, 1537)] == expected
    assert [row_number(row) for row in rows] == list(range(1, 33))
    assert row_number("07") == 7


@pytest.mark.parametrize(
    "text", ["", "A", "01", "A00", "A49", "AG01", "ZZ01", "AAA01", "A1.5", "Ä01", "A0001"]
)
def test_what_is_no_well_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="well"):
        Well.parse(text)


@pytest.mark.parametrize(("row", "column"), [(0, 1), (33, 1), (1, 0), (1, 49), (-1, -1)])
def test_no_plate_has_such_a_well(row: int, column: int) -> None:
    with pytest.raises(ValueError, match="no plate has a well"):
        Well(row, column)


@pytest.mark.parametrize("text", ["", "1A", "ABC", "-"])
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no row"):
        row_number(text)

"""Where something stands in a JSON text."""

import json

import pytest

from haste_server.web.json_places import JsonPlaces, place_of_error

TEXT = '{ "a": [1, {"b.c": "x\\"]"} , []],\n  "d" : {},\n"é": -1.5e3}'


@pytest.mark.parametrize(
    ("where", "meant", "line", "column"),
    [
        ("", TEXT, 1, 1),
        ("a", '[1, {"b.c": "x\\"]"} , []]', 1, 8),
        ("a[0]", "1", 1, 9),
        ("a[2]", "[]", 1, 30),
        ("a[1].nothing", '{"b.c": "x\\"]"}', 1, 12),
        ("d.missing", "{}", 2, 9),
        ("é", "-1.5e3", 3, 6),
        ("none", TEXT, 1, 1),
    ],
)
def test_a_path_is_found(where: str, meant: str, line: int, column: int) -> None:
    place = JsonPlaces(TEXT).of(where)

    assert TEXT[place.start : place.end] == meant
    assert (place.line, place.column) == (line, column)


@pytest.mark.parametrize("text", ["", "{", "[1,", '{"a"', '"x', "{]", "[" * 100_000])
def test_what_is_no_json_has_a_place_all_the_same(text: str) -> None:
    assert JsonPlaces(text).of("a.b").line == 1


def test_the_place_of_an_error_is_where_reading_stopped() -> None:
    text = '{"a": 1,\n "b" 2}'
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    place = place_of_error(text, caught.value)
    assert (place.line, place.column) == (2, 6)

"""Expressions over answers."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from haste_core.expressions import ExpressionError, parse_expression

VALUES = {
    "focus-score": {"plls": -1.5, "empty": False, "kind": "cells"},
    "n": 3,
    "big": 10**300,
    "huge": 10**4000,
    "list": [1, 2],
    "or": "taken",
}
MEMORY_BYTES = 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("focus-score.plls < -1", True),
        ("focus-score.plls - 1", -2.5),
        ("n + 1 == 4 and not focus-score.empty", True),
        ("focus-score.kind == 'cells'", True),
        ('focus-score.kind in ["cells", "tem"]', True),
        ("focus-score.kind in['cells']or n > 5", True),
        ("2 in list", True),
        ("0 < n <= 3", True),
        ("missing.part > 0", False),
        ("missing.part < 0", False),
        ("missing == null", True),
        ("n * 2 / 4", 1.5),
        ("n > 5 OR TRUE", True),
        ("'or and not' == 'x'", False),
        ("-n", -3),
        ("1-n", -2),
        ("1e5-3", 99997),
        ("1. + .5", 1.5),
        ("n\n>\t1", True),
        ("huge > n", True),
    ],
)
def test_values(text: str, expected: Any) -> None:
    assert parse_expression(text).evaluate(VALUES) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "(n", "(" * 300, "1, 2", "x." * 600, "'a' 'b'", "f'n'", '"""n"""']
)
def test_what_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize(
    "text", ["f(x)", "x[0]", "2 ** 9", "7 // 2", "+n", "*n", "lambda: 1", "a := 1", "...", "`", "n # m"]
)
def test_what_is_not_offered_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2x > 10", "character 1: '2x' is neither a number"),
        ("n > 2x", "character 5: '2x' is neither a number"),
        ("1j > 0", "character 1: '1j'"),
        ("n > 1_000", "character 5: '1_000'"),
        ("n > 0x10", "character 5: '0x10'"),
        ("n == 007", "character 6: '007'"),
        ("1.2.3 > 1", "character 1: '1.2.3'"),
        ("5and n", "character 1: '5and'"),
        ("n > 1e999", "character 5: a number is beyond"),
        ("n > " + "9" * 400, "character 5: a number is beyond"),
        (r"n == 'a\'b' or n", "character 6: text in quotes may hold no backslash"),
        (r'n == "C:\new"', "character 6: text in quotes may hold no backslash"),
        ("n == 'a\nb'", "character 6: text in quotes"),
        ("n == 'abc", "character 6: this quote is never closed"),
        ("größe > 1", "character 1: 'größe' is not a name"),
        ("n\uff11 > 1", "is not a name"),
        ("n - \uff12", "character 5: '\uff12' is not a name"),
        ("n. > 1", "character 1: 'n.' is not a name"),
        ("focus-score.plls 3 > 1", "character 18: invalid syntax"),
        ("n > f(n)", "character 5: Call is not offered"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["n" + "+n" * 300, "-" * 900 + "1", "not " * 240 + "1", "[" * 150 + "]" * 150]
)
def test_what_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="more than 100 deep"):
        parse_expression(text)


@pytest.mark.parametrize(
    "text", ["n / 0", "n < 'x'", "n in n", "huge + 1", "big * big", "big * 1.0 / 1e-300"]
)
def test_what_cannot_be_computed_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot compute"):
        parse_expression(text).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("n + 'x'", "text"),
        ("focus-score.kind * 2", "text"),
        ("focus-score.kind * 9000000000000000000", "text"),
        ("list + list", "a list"),
        ("list * n", "a list"),
        ("focus-score.empty + 1", "true or false"),
        ("-focus-score.empty", "true or false"),
        ("n - missing", "null"),
        ("focus-score * 2", "an object"),
    ],
)
def test_arithmetic_is_for_numbers(text: str, kind: str) -> None:
    with pytest.raises(ExpressionError, match=f"arithmetic needs numbers, not {kind}"):
        parse_expression(text).evaluate(VALUES)


@pytest.mark.parametrize(
    "text", ["'a' * 200000000 == 'b'", "[1] * 9000000000000000000", "1 / 0", "1e308 * 10"]
)
def test_what_could_never_be_computed_is_refused_before_any_values(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot compute"):
        parse_expression(text)


def test_numbers_do_not_grow_without_bound() -> None:
    expression = parse_expression(" * ".join(["big"] * 90))
    with pytest.raises(ExpressionError, match="beyond the range"):
        expression.evaluate(VALUES)


def test_values_that_are_nested_too_deeply_are_an_error() -> None:
    deep: list[Any] = []
    other: list[Any] = []
    for _ in range(100_000):
        deep, other = [deep], [other]
    with pytest.raises(ExpressionError, match="nested too deeply"):
        parse_expression("a == b").evaluate({"a": deep, "b": other})


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="'\\"), max_size=40))
@example("n or focus-score.plls")
@example("_0 {n} # 2x")
def test_text_in_quotes_stays_as_it_is(quoted: str) -> None:
    expression = parse_expression(f"n == 4 or s == '{quoted}'")
    assert expression.names == ("n", "s")
    assert expression.evaluate({"n": 3, "s": quoted}) is True
    assert expression.evaluate({"n": 3, "s": quoted + "x"}) is False


@given(st.integers(0, 10**300) | st.floats(0, allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_they_were_written(number: float) -> None:
    assert parse_expression(repr(number)).evaluate({}) == number


_OPERANDS = ["n", "big", "huge", "list", "focus-score", "focus-score.kind", "missing", "'a'", "2", "9" * 300]
_OPERATORS = ["+", "-", "*", "/", "<", ">=", "==", "!=", "in", "not in", "and", "or"]
_ODDITIES = ["not", "(", ")", "[", "]", ",", ".", "#", "\n", "'", '"', "\\", "**", "é", "1_0", "2x"]
_READABLE = st.recursive(
    st.sampled_from(_OPERANDS),
    lambda parts: (
        st.builds("({} {} {})".format, parts, st.sampled_from(_OPERATORS), parts)
        | st.builds("(- {})".format, parts)
        | st.builds("[{}, {}]".format, parts, parts)
    ),
    max_leaves=40,
)
_JUMBLED = st.lists(st.sampled_from(_OPERANDS + _OPERATORS + _ODDITIES), max_size=200).flatmap(
    lambda pieces: st.sampled_from([" ".join(pieces), "".join(pieces)])
)
_REPEATED = st.builds(
    lambda head, part, times, tail: head + part * times + tail,
    st.sampled_from(["", "n", "'a'", "big"]),
    st.sampled_from([" * 9", " * big", " + n", "-", "- ", "not ", "(", "[", "n(", " and n", " < n", "* 'a'"]),
    st.integers(0, 1000),
    st.sampled_from(["", "n", "1"]),
)


@given(st.text(max_size=60) | _JUMBLED | _READABLE | _REPEATED)
@example("'a' * 200000000 == 'b'")
@example("focus-score.kind * 200000000 == 'b'")
@example("'a' * 9000000000000000000")
@example("n\uff11")
def test_any_text_is_read_or_refused_with_little_memory(text: str) -> None:
    assert any(_peak_bytes(text) < MEMORY_BYTES for _ in range(3)), "too much memory, three times in turn"


def _peak_bytes(text: str) -> int:
    """Read and compute an expression; give the most memory that the whole process allocated meanwhile."""
    tracemalloc.start()
    try:
        parse_expression(text).evaluate(VALUES)
    except ExpressionError:
        pass
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak_bytes

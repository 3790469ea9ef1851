"""Expressions over answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.expressions import ExpressionError, parse_expression

VALUES = {"focus-score": {"plls": -1.5, "empty": False, "kind": "cells"}, "n": 3, "list": [1, 2]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("focus-score.plls < -1", True),
        ("focus-score.plls - 1", -2.5),
        ("n + 1 == 4 and not focus-score.empty", True),
        ("focus-score.kind == 'cells'", True),
        ('focus-score.kind in ["cells", "tem"]', True),
        ("2 in list", True),
        ("0 < n <= 3", True),
        ("missing.part > 0", False),
        ("missing.part < 0", False),
        ("missing == null", True),
        ("n * 2 / 4", 1.5),
        ("n > 5 OR TRUE", True),
        ("'or and not' == 'x'", False),
        ("-n", -3),
    ],
)
def test_values(text: str, expected: Any) -> None:
    assert parse_expression(text).evaluate(VALUES) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a b", "f(x)", "x[0]", "2 ** 9", "lambda: 1", "a if b else c", "a := 1", "x." * 600, "(" * 300, "`"],
)
def test_what_is_not_offered_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize("text", ["n + 'x'", "n / 0", "n < 'x'", "n in n"])
def test_what_cannot_be_computed_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot compute"):
        parse_expression(text).evaluate(VALUES)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = parse_expression(text)
    except ExpressionError:
        return
    try:
        expression.evaluate(VALUES)
    except ExpressionError:
        return

"""Conditions and arithmetic over JSON values, as a user writes them: ``focus-score.signal_fraction > 0``.

Names are dotted paths whose parts may contain hyphens, as task keys do; so a subtraction needs spaces
around its minus sign. A name that is not there is null; an ordering comparison with null is false.
Nothing is ever evaluated by Python: its parser is used, and a small set of node types is interpreted.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_LENGTH = 1000  # characters; a condition that is longer is a program in the wrong place

_TOKEN = re.compile(
    r"""(?P<string>"[^"\\]*"|'[^'\\]*')
      | (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)""",
    re.VERBOSE,
)
_WORDS = {
    "and": "and",
    "or": "or",
    "not": "not",
    "in": "in",
    "true": "True",
    "false": "False",
    "null": "None",
}

_ORDERINGS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITIES: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, container: container is not None and item in container,
    ast.NotIn: lambda item, container: container is None or item not in container,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class ExpressionError(ValueError):
    """The expression cannot be read, or cannot be computed from these values."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes
    ----------
    text : str
        The expression as the user wrote it.
    names : tuple of str
        The dotted names that it uses, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Compute the expression from nested JSON values.

        Raises
        ------
        ExpressionError
            If an operation does not fit the values, for example text plus a number.
        """
        try:
            return _compute(self._tree, [_look_up(values, name) for name in self.names])
        except (TypeError, ArithmeticError) as error:
            raise ExpressionError(f"cannot compute {self.text!r}: {error}") from error


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    ExpressionError
        If it is not well formed or uses what is not offered (calls, indexing, powers, ...).
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters")
    names: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        if name.lower() in _WORDS:
            return _WORDS[name.lower()]
        names.append(name)
        return f"_{len(names) - 1}"

    try:
        tree = ast.parse(_TOKEN.sub(placeholder, text.strip()), mode="eval").body
        _check(tree)
    except (SyntaxError, RecursionError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ExpressionError(f"cannot read {text!r}: {reason}") from error
    return Expression(text, tuple(names), tree)


def _check(node: ast.expr) -> None:
    match node:
        case ast.BoolOp(values=parts):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(
            type(op) in _ORDERINGS or type(op) in _EQUALITIES for op in ops
        ):
            parts = [left, *rest]
        case ast.List(elts=parts):
            pass
        case ast.Name(id=identifier) if not re.fullmatch(r"_\d+", identifier, re.ASCII):
            raise ExpressionError(f"{identifier!r} is not a name: use letters, digits, '-', '_' and dots")
        case ast.Constant() | ast.Name():
            parts = []
        case _:
            raise ExpressionError(f"{type(node).__name__} is not offered in expressions")
    for part in parts:
        _check(part)


def _look_up(values: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def _compute(node: ast.expr, names: list[Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=identifier):
            return names[int(identifier[1:])]
        case ast.List(elts=parts):
            return [_compute(part, names) for part in parts]
        case ast.BoolOp(op=op, values=parts):
            chosen = all if isinstance(op, ast.And) else any
            return chosen(_compute(part, names) for part in parts)
        case ast.UnaryOp(op=op, operand=operand):
            value = _compute(operand, names)
            return not value if isinstance(op, ast.Not) else -value
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_compute(left, names), _compute(right, names))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            operands = [_compute(part, names) for part in (left, *rest)]
            return all(
                _compare(op, first, second)
                for op, first, second in zip(ops, operands, operands[1:], strict=False)
            )
        case _:
            raise AssertionError(f"{type(node).__name__} passed the check")


def _compare(op: ast.cmpop, first: Any, second: Any) -> bool:
    if type(op) in _EQUALITIES:
        return bool(_EQUALITIES[type(op)](first, second))
    if first is None or second is None:
        return False
    return bool(_ORDERINGS[type(op)](first, second))

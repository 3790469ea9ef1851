"""Conditions and arithmetic over JSON values, as a user writes them: ``focus-score.signal_fraction > 0``.

Names are dotted paths whose parts may contain hyphens, as task keys do; so a subtraction needs spaces
around its minus sign. A name that is not there is null; an ordering comparison with null is false.
Arithmetic is for finite numbers only. Text in quotes is taken as it stands; there are no escapes.

Nothing is ever evaluated by Python: its parser sees operators and stand-ins for names, numbers and texts,
and a small set of node types is interpreted.
"""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

MAX_LENGTH = 1000  # characters; a condition that is longer is a program in the wrong place
MAX_DEPTH = 100  # levels of operators, each a few stack frames; Python allows 1000 of them

_TOO_DEEP = f"it is nested, or chains arithmetic, more than {MAX_DEPTH} deep"

_TOKEN = re.compile(
    r"""(?P<string>"[^"\\\x00-\x1f\ud800-\udfff]*"|'[^'\\\x00-\x1f\ud800-\udfff]*')
      | (?P<number>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++)*+(?![\w.]))
      | (?P<symbol>[<>=!]=|[<>()\[\],+*/-])
      | (?P<unreadable>[\w.-]+|\S)""",
    re.VERBOSE,
)
_OPERATORS = frozenset({"and", "or", "not", "in"})
_CONSTANTS = {"true": True, "false": False, "null": None}

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
_ARITHMETIC: dict[type[ast.operator | ast.unaryop], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
_KINDS = {type(None): "null", bool: "true or false", str: "text", list: "a list"}
_Number = TypeVar("_Number", int, float)


class ExpressionError(ValueError):
    """The expression cannot be read, or cannot be computed from these values."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes
    ----------
    text : str
        The expression as the user wrote it.
    """

    text: str
    _tree: ast.expr = field(repr=False, compare=False)
    _names: Mapping[str, str] = field(repr=False, compare=False)
    _constants: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The dotted names that it uses, in order of appearance."""
        return tuple(self._names.values())

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Compute the expression from nested JSON values.

        Raises
        ------
        ExpressionError
            If an operation does not fit the values, for example text plus a number, or a number grows beyond
            the range of floating point.
        """
        found = {stand_in: _look_up(values, name) for stand_in, name in self._names.items()}
        try:
            return _compute(self._tree, {**self._constants, **found})
        except (TypeError, ArithmeticError) as error:
            raise ExpressionError(f"cannot compute {self.text!r}: {error}") from error
        except (RecursionError, MemoryError) as error:
            raise ExpressionError(
                f"cannot compute {self.text!r}: its values are too large or nested too deeply"
            ) from error


@lru_cache(maxsize=1000)
def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    ExpressionError
        If it is not well formed, too long or too deep, or uses what is not offered (calls, powers, ...); if
        it has no names and cannot be computed.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters; this one has {len(text)}")
    tokens = list(_tokens(text))
    names: dict[str, str] = {}
    constants: dict[str, Any] = {}
    pieces: list[str] = []
    for token in tokens:
        word, stand_in = token[0], f"_{len(pieces)}"
        if token["symbol"] or word.lower() in _OPERATORS:
            pieces.append(word.lower())
            continue
        pieces.append(stand_in)
        if token["name"] and word.lower() not in _CONSTANTS:
            names[stand_in] = word
        else:
            constants[stand_in] = _constant(token)
    tree = _parse(text, pieces, [token.start() for token in tokens])
    expression = Expression(text, tree, names, constants)
    if not names:
        expression.evaluate({})
    return expression


def _tokens(text: str) -> Iterator[re.Match[str]]:
    if not text.strip():
        raise ExpressionError("an expression may not be empty")
    for token in _TOKEN.finditer(text):
        if token["unreadable"]:
            raise _unreadable(text, token.start(), _complaint(token[0], text[token.end() :]))
        yield token


def _unreadable(text: str, position: int, reason: object) -> ExpressionError:
    return ExpressionError(f"cannot read {text!r} at character {position + 1}: {reason}")


def _complaint(word: str, rest: str) -> str:
    if word in ("'", '"'):
        if word not in rest:
            return "this quote is never closed"
        return "text in quotes may hold no backslash, line break or other control character"
    if word[0] in ".0123456789":
        return (
            f"{word!r} is neither a number, such as 12, 0.5 or 1e-3, nor a name, which begins with a letter; "
            "between a number and a word there is a space"
        )
    if word[0].isalnum() or word[0] == "_":
        return f"{word!r} is not a name: use the letters a to z, digits, '-', '_' and dots"
    return f"{word!r} is not offered in expressions"


def _constant(token: re.Match[str]) -> Any:
    word = token[0]
    if token["string"]:
        return word[1:-1]
    if token["name"]:
        return _CONSTANTS[word.lower()]
    try:
        return _finite(int(word) if word.isdecimal() else float(word))
    except OverflowError as error:
        raise _unreadable(token.string, token.start(), error) from error


def _parse(text: str, pieces: list[str], positions: list[int]) -> ast.expr:
    source = " ".join(pieces)
    try:
        tree = ast.parse(source, mode="eval").body
        _check(tree, depth=1)
    except SyntaxError as error:
        token = source.count(" ", 0, max(error.offset or 0, 1) - 1)
        raise _unreadable(text, positions[token], error.msg) from error
    except (RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot read {text!r}: {_TOO_DEEP}") from error
    return tree


def _check(node: ast.expr, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError(_TOO_DEEP)
    match node:
        case ast.BoolOp(values=parts) | ast.List(elts=parts):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(
            type(op) in _ORDERINGS or type(op) in _EQUALITIES for op in ops
        ):
            parts = [left, *rest]
        case ast.Name():
            parts = []
        case _:
            reason = f"{type(node).__name__} is not offered in expressions"
            raise SyntaxError(reason, (None, node.lineno, node.col_offset + 1, None))
    for part in parts:
        _check(part, depth=depth + 1)


def _look_up(values: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def _compute(node: ast.expr, found: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=stand_in):
            return found[stand_in]
        case ast.List(elts=parts):
            return [_compute(part, found) for part in parts]
        case ast.BoolOp(op=op, values=parts):
            chosen = all if isinstance(op, ast.And) else any
            return chosen(_compute(part, found) for part in parts)
        case ast.UnaryOp(op=op, operand=operand):
            value = _compute(operand, found)
            return not value if isinstance(op, ast.Not) else _calculate(op, value)
        case ast.BinOp(left=left, op=op, right=right):
            return _calculate(op, _compute(left, found), _compute(right, found))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            operands = [_compute(part, found) for part in (left, *rest)]
            return all(
                _compare(op, first, second)
                for op, first, second in zip(ops, operands, operands[1:], strict=False)
            )
        case _:
            raise AssertionError(f"{type(node).__name__} passed the check")


def _calculate(op: ast.operator | ast.unaryop, *numbers: Any) -> Any:
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"arithmetic needs numbers, not {_KINDS.get(type(number), 'an object')}")
    return _finite(_ARITHMETIC[type(op)](*numbers))


def _finite(number: _Number) -> _Number:
    if not -sys.float_info.max <= number <= sys.float_info.max:
        raise OverflowError("a number is beyond the range of floating point, 1.8e308")
    return number


def _compare(op: ast.cmpop, first: Any, second: Any) -> bool:
    if type(op) in _EQUALITIES:
        return bool(_EQUALITIES[type(op)](first, second))
    if first is None or second is None:
        return False
    return bool(_ORDERINGS[type(op)](first, second))

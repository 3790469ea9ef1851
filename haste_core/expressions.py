"""Conditions and arithmetic over JSON values, as a user writes them: ``focus-score.signal_fraction > 0``.

Names are dotted paths whose parts may contain hyphens, as task keys do; so a subtraction needs spaces
around its minus sign. A name that is not there is null; an ordering comparison with null is false.
Arithmetic is for finite numbers only. Text in quotes is taken as it stands; there are no escapes.

Nothing is ever evaluated by Python: its parser sees operators and stand-ins for names, numbers and texts,
and a small set of node types is turned into functions of our own.
"""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_Compute = Callable[[Mapping[str, Any]], Any]


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
    names: tuple[str, ...] = field(repr=False, compare=False)
    _compute: _Compute = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Compute the expression from nested JSON values.

        Raises
        ------
        ExpressionError
            If an operation does not fit the values, for example text plus a number, or a number grows beyond
            the range of floating point.
        """
        try:
            return self._compute(values)
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
    names: list[str] = []
    leaves: dict[str, _Leaf] = {}
    pieces: list[str] = []
    for token in tokens:
        word, stand_in = token[0], f"_{len(pieces)}"
        if token["symbol"] or word.lower() in _OPERATORS:
            pieces.append(word.lower())
            continue
        pieces.append(stand_in)
        if token["name"] and word.lower() not in _CONSTANTS:
            names.append(word)
            leaves[stand_in] = _Leaf(_looking_up(word), name=word)
        else:
            constant = _constant(token)
            leaves[stand_in] = _Leaf(_always(constant), constant=constant)
    tree = _parse(text, pieces, [token.start() for token in tokens])
    expression = Expression(text, tuple(names), _computing(tree, leaves))
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


def _looking_up(name: str) -> _Compute:
    first, *others = name.split(".")

    def look_up(values: Mapping[str, Any]) -> Any:
        found = values.get(first)
        for part in others:
            if not isinstance(found, Mapping):
                return None
            found = found.get(part)
        return found

    return look_up


def _always(value: Any) -> _Compute:
    return lambda _values: value


@dataclass(frozen=True)
class _Leaf:
    """A name or a constant of an expression."""

    compute: _Compute
    name: str | None = None
    constant: Any = None


def _computing(node: ast.expr, leaves: Mapping[str, _Leaf]) -> _Compute:
    """Make a function of a checked tree; going through the tree for each object takes much longer."""
    match node:
        case ast.Name(id=stand_in):
            return leaves[stand_in].compute
        case ast.List(elts=elements):
            items = _all_of(elements, leaves)
            return lambda values: [item(values) for item in items]
        case ast.BoolOp(op=op, values=operands):
            parts = _all_of(operands, leaves)
            return _joining(parts, until=isinstance(op, ast.Or))
        case ast.UnaryOp(op=op, operand=operand):
            one = _computing(operand, leaves)
            return (lambda values: not one(values)) if isinstance(op, ast.Not) else _calculating(op, one)
        case ast.BinOp(left=left, op=op, right=right):
            return _calculating(op, _computing(left, leaves), _computing(right, leaves))
        case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Name(id=number)]) if (
            type(op) in _ORDERINGS and _is_bare(leaves[name]) and leaves[number].constant is not None
        ):
            return _bordering(str(leaves[name].name), _ORDERINGS[type(op)], leaves[number].constant)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return _comparing([_COMPARE[type(op)] for op in ops], _all_of([left, *rest], leaves))
        case _:
            raise AssertionError(f"{type(node).__name__} passed the check")


def _all_of(nodes: Sequence[ast.expr], leaves: Mapping[str, _Leaf]) -> list[_Compute]:
    return [_computing(node, leaves) for node in nodes]


def _joining(parts: Sequence[_Compute], *, until: bool) -> _Compute:
    def join(values: Mapping[str, Any]) -> bool:
        for part in parts:
            if bool(part(values)) is until:
                return until
        return not until

    return join


def _is_bare(leaf: _Leaf) -> bool:
    return leaf.name is not None and "." not in leaf.name


def _bordering(name: str, compare: Callable[[Any, Any], Any], border: Any) -> _Compute:
    """Compare what has a plain name with a constant, as most conditions do, without asking for each."""

    def is_beyond(values: Mapping[str, Any]) -> bool:
        found = values.get(name)
        return found is not None and bool(compare(found, border))

    return is_beyond


def _comparing(compares: Sequence[Callable[[Any, Any], bool]], operands: Sequence[_Compute]) -> _Compute:
    if len(compares) == 1:
        (compare,), (left, right) = compares, operands
        return lambda values: compare(left(values), right(values))

    def chain(values: Mapping[str, Any]) -> bool:
        found = [operand(values) for operand in operands]
        return all(map(operator.call, compares, found, found[1:]))

    return chain


def _calculating(op: ast.operator | ast.unaryop, *operands: _Compute) -> _Compute:
    calculate = _ARITHMETIC[type(op)]
    if len(operands) == 1:
        (operand,) = operands
        return lambda values: _finite(calculate(_number(operand(values))))
    left, right = operands
    return lambda values: _finite(calculate(_number(left(values)), _number(right(values))))


def _number(value: Any) -> Any:
    if type(value) is float or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise TypeError(f"arithmetic needs numbers, not {_KINDS.get(type(value), 'an object')}")


def _finite(number: _Number) -> _Number:
    if not -sys.float_info.max <= number <= sys.float_info.max:
        raise OverflowError("a number is beyond the range of floating point, 1.8e308")
    return number


def _ordering(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda first, second: first is not None and second is not None and bool(compare(first, second))


def _equality(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda first, second: bool(compare(first, second))


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    **{kind: _ordering(compare) for kind, compare in _ORDERINGS.items()},
    **{kind: _equality(compare) for kind, compare in _EQUALITIES.items()},
}

"""Names that a function looks at and no image has: most often they are misspelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from haste_core.decisions import conditions
from haste_core.expressions import parse_expression
from haste_core.interestingness import ScoredObject, values_of
from haste_core.pipelines import InterestingnessSpec

_SHOWN = 12
"""How many names are told where none is like the one that was asked for."""

_Path = tuple[str, ...]


def unknown_names(spec: InterestingnessSpec, seen: Sequence[ScoredObject]) -> list[str]:
    """Say which names of a function, and of its `undefined_if`, none of some images has.

    Parameters
    ----------
    spec : InterestingnessSpec
    seen : sequence of ScoredObject
        Images as they usually are. None at all: nothing is said.

    Returns
    -------
    list of str
        A sentence for each name.
    """
    if not seen:
        return []
    features = [one.features for one in seen]
    everything: list[Mapping[str, Any]] = [values_of(one) for one in seen]
    asked = [(spec.function, path, everything) for path in _asked_values(spec)]
    asked += [(spec.function, path, features) for path in _asked_features(spec)]
    asked += [
        ("undefined_if", tuple(name.split(".")), features)
        for condition in conditions(spec).values()
        for name in parse_expression(condition).names
    ]
    said: dict[_Path, str] = {}
    for what, path, images in asked:
        if not any(_has(image, path) for image in images):
            nobody = f"which no image has (of {len(seen)} that were scored last)"
            hint = _hint(path, _known(images))
            said.setdefault(path, f"{what} looks at {'.'.join(path)!r}, {nobody}; {hint}")
    return list(said.values())


def _asked_features(spec: InterestingnessSpec) -> Iterator[_Path]:
    if spec.function in ("logistic", "quantile"):
        yield (str(spec.parameters["feature"]),)


def _asked_values(spec: InterestingnessSpec) -> Iterator[_Path]:
    parameters: Mapping[str, Any] = spec.parameters
    match spec.function:
        case "precomputed":
            yield "metadata", str(parameters["field"])
        case "expression":
            yield from (tuple(name.split(".")) for name in parse_expression(parameters["expression"]).names)
        case "rest":
            yield from (tuple(name.split(".")) for name in parameters.get("fields") or ())


def _has(values: Any, path: _Path) -> bool:
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def _known(values: Iterable[Mapping[str, Any]]) -> frozenset[_Path]:
    return frozenset(path for each in values for path in _paths(each))


def _paths(values: Mapping[str, Any], within: _Path = ()) -> Iterator[_Path]:
    for name, value in values.items():
        yield (*within, name)
        if isinstance(value, Mapping):
            yield from _paths(value, (*within, name))


def _hint(path: _Path, known: frozenset[_Path]) -> str:
    beside = {one[-1].casefold(): ".".join(one) for one in known if one[:-1] == path[:-1]}
    similar = get_close_matches(path[-1].casefold(), sorted(beside))
    if similar:
        return f"did you mean {' or '.join(repr(beside[name]) for name in similar)}?"
    firsts = sorted(one[0] for one in known if len(one) == 1)
    more = ", …" if len(firsts) > _SHOWN else ""
    return f"they have {', '.join(firsts[:_SHOWN])}{more}"

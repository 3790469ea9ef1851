"""Operators by name, of this project and of installed packages, and their work on one plane."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from haste_core.errors import BadInputError, HasteError, PermanentError
from haste_core.operators import Chain, Floodfill, Operator, Recompress, Threshold
from haste_core.operators.operator import Pixels

ENTRY_POINT_GROUP = "haste.operators"

_BUILT_IN: Mapping[str, Callable[..., Operator]] = {
    operator.name: operator for operator in (Recompress, Floodfill, Threshold)
}


def make_operator(name: str, parameters: Mapping[str, Any]) -> Operator:
    """Make an operator by its name.

    Parameters
    ----------
    name : str
        Of a built-in one, or of an entry point of an installed package.
    parameters : mapping
        For its class, or whatever makes it.

    Returns
    -------
    Operator

    Raises
    ------
    PermanentError
        There is none of this name, or it cannot be made of these parameters.
    """
    factory = _BUILT_IN.get(name) or _installed(name)
    try:
        inspect.signature(factory).bind(**parameters)
        made: Any = factory(**parameters)
    # A package's operator is its author's code: anything can happen.
    except Exception as error:
        raise PermanentError(f"the operator {name} cannot be made of {dict(parameters)}: {error}") from error
    said = (getattr(made, "name", None), getattr(made, "description", None))
    if not (
        all(isinstance(text, str) for text in said)
        and isinstance(getattr(made, "lossless", None), bool)
        and isinstance(getattr(made, "parameters", None), Mapping)
        and callable(getattr(made, "apply", None))
    ):
        raise PermanentError(
            f"the operator {name} makes {made!r}, which lacks one of name, parameters, lossless (True or "
            "False), description, apply"
        )
    operator: Operator = made
    return operator


def _installed(name: str) -> Callable[..., Any]:
    points = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in points:
        known = ", ".join(sorted({*_BUILT_IN, *points}))
        raise PermanentError(
            f"there is no operator {name!r} (known here: {known}); is its package installed where the "
            "worker runs?"
        )
    module, _, attribute = points[name].partition(":")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise PermanentError(
            f"the operator {name} ({points[name]}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return factory


def chained(operators: Sequence[Operator]) -> Operator:
    """Return operators as one; a single one as it is."""
    return operators[0] if len(operators) == 1 else Chain(tuple(operators))


def applied(operator: Operator, pixels: Pixels) -> Pixels:
    """Let an operator work on one plane, and see that it does what it says.

    Parameters
    ----------
    operator : Operator
    pixels : (M, N) array
        Grey levels.

    Returns
    -------
    (M, N) array
        Of the same dtype.

    Raises
    ------
    BadInputError
        The operator refuses the plane by a ValueError.
    PermanentError
        It fails otherwise, makes something else of the plane than another such plane, or changes pixels
        though it says that it is lossless.
    """
    try:
        changed = operator.apply(pixels)
    except (HasteError, MemoryError):
        raise
    except ValueError as error:
        raise BadInputError(f"the operator {operator.name} cannot work on this image: {error}") from error
    except Exception as error:
        raise PermanentError(
            f"the operator {operator.name} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(changed, np.ndarray) or (changed.shape, changed.dtype) != (pixels.shape, pixels.dtype):
        raise PermanentError(
            f"the operator {operator.name} must return an array of the plane's shape and dtype"
        )
    if operator.lossless and not np.array_equal(changed, pixels):
        raise PermanentError(f"the operator {operator.name} says that it is lossless, and has changed pixels")
    return changed

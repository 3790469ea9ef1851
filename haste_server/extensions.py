"""Interestingness functions and policies of installed packages, and of modules that a pipeline file names.

They are a user's own code: only the evaluator's child process, and the check of a pipeline, make them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeAlias, cast

from haste_core.errors import HasteError
from haste_core.interestingness import QUICK, InterestingnessFunction, ScoredObject

FUNCTIONS = "haste.interestingness"
POLICIES = "haste.policies"


class ExtensionError(HasteError):
    """There is no such function or policy, or it cannot be made of these parameters."""


class MadePolicy(Protocol):
    """What a policy of a user's is made to."""

    def tier_for(self, score: float, scored: ScoredObject, /) -> str:
        """Name the tier of an object with a score in [0, 1]."""


_Check: TypeAlias = Callable[[Any], bool]


def registered(name: str) -> bool:
    """Tell whether clients may name an interestingness function: one that computes, or of a package.

    A pipeline file may also name ``module:callable``, which runs any code, and ``rest``, which asks any
    address.
    """
    return name in QUICK or _installed(FUNCTIONS, name) is not None


def registered_policy(name: str) -> bool:
    """Tell whether clients may name a policy of a user's: one of an installed package."""
    return _installed(POLICIES, name) is not None


def own_function(name: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
    """Make a function of an installed package, or of ``module:callable``.

    Raises
    ------
    ExtensionError
    """
    made = _make(f"interestingness function {name!r}", FUNCTIONS, name, parameters, callable)
    return cast(InterestingnessFunction, made)


def own_policy(name: str, parameters: Mapping[str, Any]) -> MadePolicy:
    """Make a policy of an installed package, or of ``module:callable``.

    Raises
    ------
    ExtensionError
    """

    def has_tiers(made: Any) -> bool:
        return callable(getattr(made, "tier_for", None))

    return cast(MadePolicy, _make(f"policy {name!r}", POLICIES, name, parameters, has_tiers))


def _make(what: str, group: str, name: str, parameters: Mapping[str, Any], is_good: _Check) -> Any:
    reference = name if ":" in name else _installed(group, name)
    if reference is None:
        known = ", ".join(sorted({point.name for point in entry_points(group=group)})) or "none"
        raise ExtensionError(
            f"{what}: there is none of this name (of installed packages: {known}); is its package installed "
            "where the server runs? A function in a module is module:callable"
        )
    module, _, attribute = reference.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
        made = factory(**parameters)
    except Exception as error:  # user code: anything can happen
        raise ExtensionError(f"{what}: {type(error).__name__}: {error}") from error
    if not is_good(made):
        wanted = "a function of an object" if group == FUNCTIONS else "an object with a method tier_for"
        raise ExtensionError(f"{what} makes {made!r} of its parameters, which is not {wanted}")
    return made


def _installed(group: str, name: str) -> str | None:
    return next((point.value for point in entry_points(group=group, name=name)), None)

"""Command-line options that give a name to something, read in one way by all programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from haste_core.errors import InvalidError, Problem
from haste_core.fields import Form

HandlerReference = Annotated[
    str,
    Form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "names no function, as lab.counting:count_cells does"),
]
"""A function that does tasks: ``module:function``."""


def named_values(given: Iterable[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` options.

    Raises
    ------
    InvalidError
        With all that are not of this form.
    """
    pairs = [text.partition("=") for text in given]
    _refuse([name for name, sign, _ in pairs if not sign], option, "NAME=VALUE")
    return {name: value for name, _, value in pairs}


def named_handlers(given: Iterable[str], option: str = "--handler") -> dict[str, str]:
    """Read ``[KEY=]module:function`` options; a function ``count_cells`` has the key ``count-cells``.

    Raises
    ------
    InvalidError
        With all that are not of this form.
    """
    listed = list(given)
    _refuse([text for text in listed if ":" not in text], option, "module:function or KEY=module:function")
    return named_values((text if "=" in text else f"{_key_of(text)}={text}" for text in listed), option)


def _key_of(reference: str) -> str:
    return reference.rpartition(":")[2].replace("_", "-")


def _refuse(wrong: list[str], option: str, form: str) -> None:
    if wrong:
        raise InvalidError([Problem(option, f"{text!r} should be {form}") for text in wrong])

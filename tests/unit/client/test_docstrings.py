"""What the client's methods say of themselves."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from haste_client import HasteClient, Submission
from haste_client.images import Stream


def public_methods() -> Iterator[tuple[str, Any]]:
    for kind in (HasteClient, Submission, Stream):
        for base in kind.__mro__:
            if base.__module__.startswith("haste_client"):
                own = ((name, value) for name, value in vars(base).items() if not name.startswith("_"))
                yield from (
                    (f"{kind.__name__}.{name}", value) for name, value in own if inspect.isfunction(value)
                )


METHODS = dict(public_methods())


def test_the_clients_methods_are_found() -> None:
    assert {
        "HasteClient.submit_directory",
        "HasteClient.events",
        "Submission.wait",
        "Stream.to_pandas",
    } <= METHODS.keys()
    assert len(METHODS) > 50


@pytest.mark.parametrize("name", METHODS)
def test_a_method_names_all_that_it_takes(name: str) -> None:
    said = inspect.getdoc(METHODS[name]) or ""
    assert said.partition("\n")[0].endswith(".")
    taken = set(inspect.signature(METHODS[name]).parameters) - {"self"}
    assert taken <= set(re.findall(r"\w+", said))

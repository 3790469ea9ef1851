"""Groups of operations whose part of the OpenAPI document is written when somebody asks for that.

To write it takes a fifth of the computing time in which a server starts, and few ever read it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.utils import parse_parameters


class Blueprint(APIBlueprint):
    """Takes operations as `APIBlueprint` does, and describes them later."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._undescribed: list[Callable[[], object]] = []

    def describe(self) -> None:
        """Write the description of all operations, if that has not been done."""
        for describe_one in self._undescribed:
            describe_one()
        self._undescribed.clear()

    def _collect_openapi_info(self, rule: str, func: Callable[..., Any], **told: Any) -> Any:
        self._undescribed.append(partial(super()._collect_openapi_info, rule, func, **told))
        return parse_parameters(func, doc_ui=False)

"""How all programs read options that name something."""

import pytest

from haste_core.errors import InvalidError
from haste_runtime.options import named_handlers, named_values


def test_a_handler_has_the_name_of_its_function_unless_it_is_given_one() -> None:
    given = ["count_nuclei:count_nuclei", "my_lab.cells:count_cells", "mask=masks:write"]
    assert named_handlers(given) == {
        "count-nuclei": "count_nuclei:count_nuclei",
        "count-cells": "my_lab.cells:count_cells",
        "mask": "masks:write",
    }


def test_what_names_no_function_is_refused_with_the_form_that_is_wanted() -> None:
    with pytest.raises(InvalidError) as refused:
        named_handlers(["count_nuclei", "mask=masks", "a:b"])
    assert [str(problem) for problem in refused.value.problems] == [
        "--handler: 'count_nuclei' should be module:function or KEY=module:function",
        "--handler: 'mask=masks' should be module:function or KEY=module:function",
    ]


def test_values_are_named() -> None:
    assert named_values(["nas=/mnt/a=b", "home="], "--root") == {"nas": "/mnt/a=b", "home": ""}
    with pytest.raises(InvalidError, match="--root: 'nas' should be NAME=VALUE"):
        named_values(["nas"], "--root")

"""The words for what is wrong with an input."""

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat, SecretStr, ValidationError

from haste_core.fields import StreamName
from haste_core.findings import problems_of


class Form(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=5)] = "a"
    stripped: Annotated[str, AfterValidator(str.strip), Field(min_length=3, max_length=5)] = "abc"
    number: Annotated[FiniteFloat, Field(ge=0, le=10)] = 0
    whole: Annotated[int, Field(gt=0, lt=10)] = 1
    many: Annotated[tuple[int, ...], Field(max_length=2)] = ()
    some: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    named: Annotated[dict[str, int], Field(max_length=1)] = {}
    choice: Literal["observe", "enforce"] = "observe"
    flag: bool = False
    code: Annotated[str, Field(pattern="^[0-9]+$")] = "0"
    stream: StreamName = "plate7"
    secret: Annotated[SecretStr, Field(min_length=16)] = SecretStr("x")


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("text", "abcdefg", "is 7 characters long; at most 5 are possible"),
        ("text", "", "may not be empty"),
        ("text", 3, "should be text"),
        ("stripped", "abcdefg", "is 7 characters long; at most 5 are possible"),
        ("stripped", "ab", "is 2 characters long; at least 3 are needed"),
        ("number", -1, "is -1; the least that is possible is 0.0"),
        ("number", 11, "is 11; the most that is possible is 10.0"),
        ("number", "high", "should be a number"),
        ("number", "nan", "should be a finite number"),
        ("whole", 0, "is 0; it should be more than 0"),
        ("whole", 10, "is 10; it should be less than 10"),
        ("whole", 1.5, "should be a whole number, without a fraction"),
        ("many", [1, 2, 3], "has 3 entries; at most 2 are possible"),
        ("many", "x", "should be a list"),
        ("some", [], "may not be empty"),
        ("named", {"a": 1, "b": 2}, "has 2 entries; at most 1 are possible"),
        ("named", [], "should be an object: names with values"),
        ("choice", "x" * 100, f"is '{'x' * 59}…; it should be 'observe' or 'enforce'"),
        ("flag", "perhaps", "should be true or false"),
        ("code", "a1", "is 'a1'; it should have the form ^[0-9]+$"),
        ("secret", "password", "is 8 characters long; at least 16 are needed"),
    ],
)
def test_findings_are_told_in_a_person_s_words(field: str, value: object, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate({field: value})
    (problem,) = problems_of(caught.value)
    assert (problem.where, problem.what) == (field, what)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a" * 101, "a\n", "é"])
def test_the_form_of_a_stream_s_name_is_told_in_words(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate({"stream": name})
    (problem,) = problems_of(caught.value)
    assert "at most 100 letters, digits" in problem.what


def test_a_list_with_a_wrong_item_is_not_called_empty() -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate({"some": ["x"]})
    assert [problem.where for problem in problems_of(caught.value)] == ["some[0]"]

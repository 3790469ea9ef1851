"""What a handler may answer."""

from typing import Any

import pytest

from haste_core.messages import MAX_THUMBNAIL_BYTES, Place
from haste_workers.answers import MAX_URL_CHARACTERS, Answer, UnusableAnswerError, as_answer


def test_a_dict_is_an_answer() -> None:
    assert as_answer({"spots": 3}) == Answer({"spots": 3})


def test_a_url_that_is_too_long_is_refused() -> None:
    longest = Place(url="root://nas/".ljust(MAX_URL_CHARACTERS, "a"), site="lab1")

    assert as_answer(Answer(place=longest)).place == longest
    with pytest.raises(UnusableAnswerError, match="2001 characters of at most 2000"):
        as_answer(Answer(place=longest.model_copy(update={"url": longest.url + "a"})))


@pytest.mark.parametrize("value", [None, [1], "done", {1: "a"}])
def test_what_json_objects_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(UnusableAnswerError):
        as_answer(value)


@pytest.mark.parametrize(
    "thumbnail", [b"<svg>", "\xff\xd8\xff", b"\xff\xd8\xff".ljust(MAX_THUMBNAIL_BYTES + 1)]
)
def test_a_thumbnail_is_a_small_jpeg(thumbnail: Any) -> None:
    with pytest.raises(UnusableAnswerError, match="thumbnail"):
        as_answer(Answer(thumbnail=thumbnail))
    small = b"\xff\xd8\xff".ljust(MAX_THUMBNAIL_BYTES)
    assert as_answer(Answer(thumbnail=small)).thumbnail == small

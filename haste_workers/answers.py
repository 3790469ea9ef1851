"""What a handler is, and what it may answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from haste_core.errors import PermanentError
from haste_core.messages import MAX_THUMBNAIL_BYTES, Place, TaskMessage

if TYPE_CHECKING:
    from haste_workers.context import TaskContext

MAX_ANSWER_BYTES = 1_000_000
"""An answer is stored with its job and travels with each later task; pixels belong in a file."""

MAX_URL_CHARACTERS = 2000

_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Answer:
    """A handler's answer that says more than the response.

    Attributes
    ----------
    response : mapping
        Stored with the job under the task's key; JSON only.
    place : Place, optional
        Where the object is now, if the task moved or replaced it; later tasks read it there.
    message : str
        For the user, in a sentence.
    leaving : Place, optional
        What may be removed once `place` is recorded. Then the task runs again, with it in its message, to do
        so.
    thumbnail : bytes, optional
        A small JPEG of the image, for the pages; at most `haste_core.messages.MAX_THUMBNAIL_BYTES`.
    """

    response: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    message: str = ""
    leaving: Place | None = None
    thumbnail: bytes | None = None


Handler: TypeAlias = "Callable[[Mapping[str, Any], TaskMessage, TaskContext], Mapping[str, Any] | Answer]"
"""The function that does a task: ``(job, task, context) -> response``."""


class UnusableAnswerError(PermanentError):
    """The handler answered something that JSON cannot hold."""


def as_answer(value: Any, *, deletes: bool = False) -> Answer:
    """Read what a handler returned.

    Parameters
    ----------
    value : object
    deletes : bool
        Whether the object is to be deleted: then its place itself may be what is left.

    Raises
    ------
    UnusableAnswerError
        If it is neither a mapping nor an `Answer`, holds something else than JSON, or a URL that is too long.
    """
    answer = value if isinstance(value, Answer) else Answer(response=value)
    if not isinstance(answer.response, Mapping):
        raise UnusableAnswerError(
            f"the handler answered a {type(value).__name__}; it should return a dict (or an Answer)"
        )
    if not isinstance(answer.place, Place | None):
        raise UnusableAnswerError("the place of an Answer is a Place, for example context.place_of(path)")
    if answer.place is not None and len(answer.place.url) > MAX_URL_CHARACTERS:
        raise UnusableAnswerError(
            f"the URL of the answer's place has {len(answer.place.url)} characters of at most "
            f"{MAX_URL_CHARACTERS}"
        )
    _check_thumbnail(answer.thumbnail)
    stays = answer.leaving is not None and answer.place is not None and answer.leaving.url == answer.place.url
    if answer.leaving is not None and (answer.place is None or (stays and not deletes)):
        raise UnusableAnswerError("an Answer with `leaving` has a `place`, and another one")
    return replace(
        answer, response=_plain(answer.response, "response"), message=sendable(str(answer.message))
    )


def _check_thumbnail(thumbnail: bytes | None) -> None:
    if thumbnail is None:
        return
    if not isinstance(thumbnail, bytes) or not thumbnail.startswith(_JPEG):
        raise UnusableAnswerError("the thumbnail of an Answer is a JPEG file, as bytes")
    if len(thumbnail) > MAX_THUMBNAIL_BYTES:
        raise UnusableAnswerError(
            f"the answer's thumbnail takes {len(thumbnail)} bytes of at most {MAX_THUMBNAIL_BYTES}"
        )


def sendable(text: str) -> str:
    """Replace what UTF-8 cannot hold, such as the broken bytes of a file name."""
    return text.encode(errors="replace").decode()


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return sendable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnusableAnswerError(
                f"{where} is {value}, which is no number; answer None where it is undefined"
            )
        return float(value)
    if isinstance(value, Mapping):
        return {_name(key, where): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    # numpy's scalars: np.float32(1.5), np.int64(3), np.bool_(True)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(value.item(), where)
    raise UnusableAnswerError(
        f"{where} is a {type(value).__module__}.{type(value).__name__}, which JSON cannot hold; "
        "answer numbers, strings, lists and dicts"
    )


def _name(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise UnusableAnswerError(f"{where} has the key {key!r}; keys should be strings")
    return sendable(key)

"""The images of a stream that were decided about: page by page, as plain rows, as a table of pandas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from pydantic import PrivateAttr

from haste_client.answers import DecisionAnswer, ImageAnswer, StreamAnswer
from haste_client.connection import Connection
from haste_core.errors import InvalidError, Problem

if TYPE_CHECKING:
    import pandas

_PAGE = 1000
_NESTED = ("features", "metadata", "place")

COLUMNS = tuple(name for name in ImageAnswer.model_fields if name not in _NESTED)
"""Of each row; those of features, metadata and place come after them."""


class ImageCalls:
    """The calls of `HasteClient` that are about decided images."""

    _connection: Connection

    def images(
        self,
        stream_id: str,
        *,
        tier: str | None = None,
        min: float | None = None,  # noqa: A002 - as the server's query is called
        max: float | None = None,  # noqa: A002
        order: str | None = None,
    ) -> Iterator[ImageAnswer]:
        """Go through the objects of a stream that were decided about, page by page.

        Parameters
        ----------
        stream_id : str
        tier : str, optional
            Only those that belong there.
        min, max : float, optional
            Only those with a score in this range, in [0, 1], both included; those without a score are left
            out then.
        order : {"-score", "score", "job"}, optional
            The highest score first (the default), the lowest first, or as they were submitted. An image
            without a score comes below all others.

        Yields
        ------
        ImageAnswer
        """
        asked = {"tier": tier, "min": min, "max": max, "order": order}
        path = f"/HASTE/stream/{quote(stream_id)}/images"
        for image in self._connection.pages(path, "images", params=asked, limit=_PAGE):
            yield ImageAnswer.model_validate(image)

    def decisions(self, stream_id: str) -> Iterator[DecisionAnswer]:
        """Go through all decisions about a stream's objects in their order, also the superseded ones.

        Parameters
        ----------
        stream_id : str

        Yields
        ------
        DecisionAnswer
        """
        path = f"/HASTE/stream/{quote(stream_id)}/decisions"
        for decision in self._connection.pages(path, "decisions", limit=_PAGE):
            yield DecisionAnswer.model_validate(decision)

    def recall(
        self, job_id: int, tier: str | None = None, *, reason: str | None = None, by: str | None = None
    ) -> ImageAnswer:
        """Bring the image of a job back to a tier.

        If its stream enforces, it moves. How long it may stay there counts anew.

        Parameters
        ----------
        job_id : int
        tier : str, optional
            Default: the policy's best one.
        reason, by : str, optional
            Why, and who asks for it; recorded with the decision.

        Returns
        -------
        ImageAnswer

        Raises
        ------
        NotFoundError
            If there is no such job, or nothing was decided about it.
        ConflictError
            If it is pinned.
        InvalidError
            If there is no such tier.
        """
        given = {"tier": tier, "reason": reason, "by": by}
        body = {name: value for name, value in given.items() if value is not None}
        return ImageAnswer.model_validate(self._connection.post(f"/HASTE/job/{job_id}/recall", body))


class Stream(StreamAnswer):
    """A stream as it was when it was asked for, with the way to its images."""

    _images: Callable[..., Iterator[ImageAnswer]] = PrivateAttr()
    _complete: Callable[[str], StreamAnswer] = PrivateAttr()

    @classmethod
    def of(
        cls,
        answer: Any,
        images: Callable[..., Iterator[ImageAnswer]],
        complete: Callable[[str], StreamAnswer],
    ) -> Self:
        """Read the server's answer; `images` and `complete` are the client's methods."""
        stream = cls.model_validate(answer)
        stream._images = images
        stream._complete = complete
        return stream

    def complete(self) -> StreamAnswer:
        """Say that no more images come, and return the stream as it is then; see `complete_stream`."""
        return self._complete(self.stream_id)

    def images(self, **chosen_by: Any) -> Iterator[ImageAnswer]:
        """Go through its images.

        Parameters
        ----------
        **chosen_by
            ``tier``, ``min``, ``max`` and ``order``, as of `HasteClient.images`.

        Yields
        ------
        ImageAnswer
        """
        return self._images(self.stream_id, **chosen_by)

    def to_pandas(self, **chosen_by: Any) -> pandas.DataFrame:
        """Load its images into a table, a row for each, by the names that `flat_row` gives the columns.

        Parameters
        ----------
        **chosen_by
            ``tier``, ``min``, ``max`` and ``order``, as of `HasteClient.images`.

        Returns
        -------
        pandas.DataFrame
            Times are timestamps in UTC, missing numbers NaN.

        Raises
        ------
        InvalidError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InvalidError(
                [Problem("to_pandas", "pandas is not installed here: pip install 'haste-server[pandas]'")]
            ) from error
        rows = flat_rows(self.images(**chosen_by))
        frame = pandas.DataFrame(rows, columns=None if rows else list(COLUMNS))
        for name in ("decided_at", "timestamp", "deleted_at"):
            frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
        return frame


def flat_row(image: ImageAnswer) -> dict[str, Any]:
    """Write an image as a row of plain values.

    Features, metadata and the place become columns ``features.plls``, ``metadata.well``, ``place.url``, as
    `pandas.json_normalize` names them; what is nested deeper becomes JSON text.
    """
    row: dict[str, Any] = {}
    for name, value in image.model_dump().items():
        if name in _NESTED:
            row |= {f"{name}.{key}": plain(inner) for key, inner in (value or {}).items()}
        else:
            row[name] = plain(value)
    return row


def flat_rows(images: Iterable[ImageAnswer]) -> list[dict[str, Any]]:
    """Write images as rows of the same columns: those that all have first, then the others by name."""
    there = list(images)
    columns = columns_of(there)
    rows = map(flat_row, there)
    return [{name: row.get(name) for name in columns} for row in rows]


def columns_of(images: Iterable[ImageAnswer]) -> list[str]:
    """List the columns of images' rows: those that all have first, then the others by name."""
    others: set[str] = set()
    for image in images:
        for name in _NESTED:
            others.update(f"{name}.{key}" for key in dict(getattr(image, name) or {}))
    return [*COLUMNS, *sorted(others)]


def plain(value: Any) -> Any:
    """Return a number, text, truth value or None as it is, anything else as JSON text."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return value

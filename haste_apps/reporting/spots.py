"""What a page draws of each image: little enough to hold it for all images of a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from haste_client.answers import ImageAnswer
from haste_core.interestingness import value_of
from haste_core.wells import Well


class Spot(NamedTuple):
    """One image, as the charts show it.

    Attributes
    ----------
    number : int
        Its place among the report's images.
    score : float or None
        In [0, 1].
    value : float or None
        Of the feature that the score is made from.
    plate : str
        '' if it has no name.
    well : Well or None
        None if it is not known.
    time_point : str or None
        As its name tells it.
    timestamp : float or None
        When it was acquired, in seconds since 1970.
    """

    number: int
    source_id: str
    score: float | None
    tier: str
    value: float | None
    plate: str
    well: Well | None
    time_point: str | None
    timestamp: float | None


def spots_of(images: Iterable[ImageAnswer], feature: str | None) -> Iterator[Spot]:
    """Reduce the images that were not deleted to what is drawn of them.

    Parameters
    ----------
    images : iterable of ImageAnswer
        All of a report, in its order.
    feature : str or None
        That the score is made from.
    """
    for number, image in enumerate(images):
        if image.deleted_at is not None:
            continue
        said = image.metadata
        yield Spot(
            number=number,
            source_id=image.source_id,
            score=image.score,
            tier=sys.intern(image.tier),
            value=None if feature is None else value_of(image.features, feature),
            plate=sys.intern(str(said.get("plate") or "")),
            well=_well(str(said["well"])) if "well" in said else None,
            time_point=None if said.get("t") is None else sys.intern(str(said["t"])),
            timestamp=image.timestamp,
        )


@lru_cache(maxsize=4096)
def _well(text: str) -> Well | None:
    try:
        return Well.parse(text)
    except ValueError:
        return None

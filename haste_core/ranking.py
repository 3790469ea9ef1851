"""Which objects of a stream are the best that there is room for.

Objects rank by score; of equals, the one that came first (by the number of its job) ranks higher. An image
set is one object here: its job is its first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DELETED = ""
"""Stands for the tier of what was deleted."""


@dataclass(frozen=True)
class Shelf:
    """Room for the best objects.

    Attributes
    ----------
    tier : str
    size : int
        For how much there is room at all: objects or bytes.
    left : int
        For how much of what is being ranked; below 0 if other objects take more than the size.
    is_bytes : bool
        Whether it is filled with bytes, and not with objects.
    """

    tier: str
    size: int
    left: int
    is_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """An object with a score.

    Attributes
    ----------
    weight : int
        What it takes of a shelf.
    tier : str
        Where it is by its latest decision.
    """

    job_id: int
    score: float
    weight: int
    tier: str


@dataclass(frozen=True)
class Occupied:
    """What a stream has in one tier.

    Attributes
    ----------
    tier : str
        `DELETED` for what was deleted from a trash: it takes no room, and has its part in how many there are.
    worst, best : float
        Scores.
    """

    tier: str
    count: int
    size_bytes: int
    worst: float
    best: float


def with_one_more(
    occupied: Sequence[Occupied], tier: str, *, score: float, size_bytes: int
) -> tuple[Occupied, ...]:
    """Put one more object to what is where."""
    there = {one.tier: one for one in occupied}
    old = there.get(tier, Occupied(tier, 0, 0, score, score))
    there[tier] = Occupied(
        tier, old.count + 1, old.size_bytes + size_bytes, min(old.worst, score), max(old.best, score)
    )
    return tuple(there.values())


def revise(shelves: Sequence[Shelf], rest: str, objects: Iterable[Ranked]) -> dict[int, str]:
    """Find the objects that belong elsewhere, by job, each with its tier.

    A shelf takes the best until one does not fit; this one and all below it go to later shelves. Only an
    object that is larger than a whole shelf is passed over.

    Parameters
    ----------
    shelves : sequence of Shelf
        The one for the best first.
    rest : str
        The tier of what is on no shelf.
    objects : iterable of Ranked
    """
    left = [shelf.left for shelf in shelves]
    is_open = [True] * len(shelves)
    moved = {}
    for one in sorted(objects, key=lambda one: (-one.score, one.job_id)):
        tier = rest
        for number, shelf in enumerate(shelves):
            if not is_open[number] or one.weight > shelf.size:
                continue
            if one.weight <= left[number]:
                left[number] -= one.weight
                tier = shelf.tier
                break
            is_open[number] = False
        if tier != one.tier:
            moved[one.job_id] = tier
    return moved


def place(
    shelves: Sequence[Shelf], rest: str, occupied: Sequence[Occupied], *, score: float, weight: int
) -> str:
    """Name the tier of a new object, by what is where at present.

    It goes to the first shelf in which something ranks below it, or that has room and nothing better waits
    for that. What has to make room is found when the stream is revised.

    Parameters
    ----------
    shelves : sequence of Shelf
        With what is left of them.
    rest : str
    occupied : sequence of Occupied
        The tiers of the shelves and of the rest that are not empty.
    score : float
    weight : int
    """
    there = {one.tier: one for one in occupied}
    below = [*(shelf.tier for shelf in shelves), rest]
    for shelf in shelves:
        below.remove(shelf.tier)
        if weight > shelf.size:
            continue
        if shelf.tier in there and score > there[shelf.tier].worst:
            return shelf.tier
        waits = any(there[tier].best > score for tier in below if tier in there)
        if weight <= shelf.left and not waits:
            return shelf.tier
    return rest

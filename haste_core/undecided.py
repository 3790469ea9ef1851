"""Objects that wait for a decision, and what is answered about them: between a store and what decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from haste_core.decisions import Decision
from haste_core.image_sets import Member
from haste_core.interestingness import ScoredObject, StreamObject
from haste_core.pipelines import Pipeline
from haste_core.ranking import Occupied


@dataclass(frozen=True)
class Earlier:
    """The latest decision about an object that is decided about once more.

    Attributes
    ----------
    stands : bool
        Only the stream's mode has changed since: it is repeated as it is.
    is_scored_alike : bool
        Its score was made by the stream's present function, of the same features: only the tier is chosen.
    score : float, optional
        None: it is undefined.
    seen : int, optional
        See `haste_core.decisions.Decision`.
    """

    decision_id: int
    stands: bool = False
    is_scored_alike: bool = False
    score: float | None = None
    seen: int | None = None


@dataclass(frozen=True)
class Undecided:
    """A task that waits for the score of its object.

    Attributes
    ----------
    task_id, job_id : int
    stream_id, source_id : str
    pipeline : Pipeline
    scored : ScoredObject
    seen : int
        Number of the stream's latest decision: what is decided now may look at objects up to it.
    holds_tier : bool
        False if another task of the job puts the object to its tier, and this one needs the score only.
    present : str, optional
        The tier where it is, if it was decided about before.
    occupied : tuple of Occupied
        What is where, of streams whose policy ranks their objects.
    set_key : str, optional
        The image set that it belongs to.
    earlier : Earlier, optional
        Where it is decided about once more.
    """

    task_id: int
    job_id: int
    stream_id: str
    source_id: str
    pipeline: Pipeline
    scored: ScoredObject
    seen: int = 0
    holds_tier: bool = True
    present: str | None = None
    occupied: tuple[Occupied, ...] = ()
    set_key: str | None = None
    earlier: Earlier | None = None

    @property
    def stands(self) -> bool:
        """Tell whether what was decided before is decided again, without a look at the object."""
        return self.earlier is not None and self.earlier.stands

    @property
    def is_of_a_set(self) -> bool:
        """Tell whether it is decided about with others, as one."""
        return self.set_key is not None and self.holds_tier and self.pipeline.image_set is not None


SetName: TypeAlias = tuple[str, str]
"""(stream_id, set_key)"""


@dataclass(frozen=True)
class SetMember:
    """An image of a set, as the store knows it.

    Attributes
    ----------
    item : Undecided
        It, as if nothing was decided about it yet.
    member : Member
    is_latest : bool
        False if the same source was submitted again, in a later version; then only that one counts.
    more_come : bool
        False if the stream is complete.
    """

    item: Undecided
    member: Member
    is_latest: bool = True
    more_come: bool = True


@dataclass(frozen=True)
class Decided:
    """An object of a stream, as one decision left it."""

    decision_id: int
    object: StreamObject


@dataclass(frozen=True)
class Undecidable:
    """Why no decision could be made about an object."""

    reason: str


@dataclass(frozen=True)
class Postponed:
    """Why no decision could be made about an object for now; it is asked about again after a pause.

    Attributes
    ----------
    trouble : str
    silent : bool
        Nobody answered, so that other objects of the stream had better wait, too.
    """

    trouble: str
    silent: bool = False


Answer: TypeAlias = Decision | Undecidable | Postponed

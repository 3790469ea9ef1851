"""What came out of a job, in the few values that one looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from haste_client import notebooks
from haste_client.answers import JobAnswer, Place, TaskAnswer
from haste_core.states import TaskState

FEATURES_KEY = "focus-score"
TIER_KEY = "tier"


@dataclass(frozen=True)
class Result:
    """The outcome of one object's job, or how far it is.

    Attributes
    ----------
    source_id : str
        The object's name in its stream.
    job_id : int
    state : str
        ``"open"``, ``"done"`` or ``"failed"``.
    code : int
        The state as DANE's code, for example 502 for an image that cannot be read.
    plls : float or None
        Power log-log slope: the lower, the more blurred. None if undefined or not measured.
    signal_fraction : float or None
        Share of the field that shows more than noise, in [0, 1].
    interestingness : float or None
        The score in [0, 1]; None if undefined (an empty field) or not there yet.
    tier : str or None
        Where the object was put, or would be put if the stream only observes.
    message : str
        What went wrong, what an open job waits for, or why this tier.
    features : mapping
        Everything that `focus-score` measured.
    size_bytes : int or None
        Of the object that was tiered.
    place : Place or None
        Where the object is now.
    """

    source_id: str
    job_id: int
    state: str
    code: int
    plls: float | None = None
    signal_fraction: float | None = None
    interestingness: float | None = None
    tier: str | None = None
    message: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)
    size_bytes: int | None = None
    place: Place | None = None

    @classmethod
    def of(cls, job: JobAnswer) -> Self:
        """Read the result from a job."""
        features = _mapping(job.response.get(FEATURES_KEY))
        tiering = _mapping(job.response.get(TIER_KEY))
        return cls(
            source_id=job.source_id,
            job_id=job.job_id,
            state=_word_for(job),
            code=job.state,
            plls=features.get("plls"),
            signal_fraction=features.get("signal_fraction"),
            interestingness=tiering.get("interestingness"),
            tier=tiering.get("tier"),
            message=_trouble(job) or str(tiering.get("reason", "")),
            features=features,
            size_bytes=tiering.get("size_bytes"),
            place=job.place,
        )

    def _repr_html_(self) -> str:
        return notebooks.fields(
            self.source_id, {**vars(self), "source_id": None, "place": self.place and self.place.url}
        )


class Results(notebooks.Listing[Result]):
    """The outcomes of a submission's images, as a list that a notebook shows as a table."""

    columns = ("source_id", "state", "plls", "interestingness", "tier", "message")
    numbers = frozenset({"plls", "interestingness"})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word_for(job: JobAnswer) -> str:
    if not job.ended:
        return "open"
    return "done" if job.done else "failed"


def _trouble(job: JobAnswer) -> str:
    """Say why a job has failed, or what an open one waits for."""
    if job.ended and job.done:
        return ""
    ailing = (task for task in job.task_list() if _ails(task, job_ended=job.ended))
    return "; ".join(f"{task.task_key}: {task.task_msg or task.task_state}" for task in ailing)


def _ails(task: TaskAnswer, *, job_ended: bool) -> bool:
    state = TaskState(task.task_state)
    return state.failed if job_ended else not state.ended and task.task_msg != ""

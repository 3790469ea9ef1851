"""What requests carry in their bodies."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from haste_core.fields import Name, Priority, StreamName, TierName
from haste_core.jobspec import JobSpec
from haste_core.pipelines import InterestingnessSpec
from haste_core.policies import Policy
from haste_core.tokens import ProjectName, Scope, TokenName
from haste_server.api.parameters import LATEST_TIME, NumericCursor, NumericId, StateFilter

MAX_BULK = 1000
MAX_PROJECTS = 100
MAX_ASKED = 1000
MAX_PRIORITIES = 10_000


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmittedJob(JobSpec):
    """A job spec in DANE's format."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the format as it is written: a task is its key, or an object under ``Task``."""
        schema = super().model_json_schema(*args, **kwargs)
        fields = schema["$defs"]["Task"]
        schema["$defs"]["Task"] = {
            "anyOf": [
                fields["properties"]["task_key"],
                {
                    "type": "object",
                    "properties": {"Task": fields},
                    "required": ["Task"],
                    "additionalProperties": False,
                },
            ]
        }
        return schema


class SubmittedJobs(_Body):
    """Job specs; each is judged by itself."""

    jobs: Annotated[list[Any], Field(max_length=MAX_BULK)]

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the items, which are taken unread, as what they should be."""
        schema = super().model_json_schema(*args, **kwargs)
        schema["properties"]["jobs"]["items"] = {"$ref": f"#/components/schemas/{SubmittedJob.__name__}"}
        return schema


class WantedToken(_Body):
    """A token as it is asked for.

    Attributes
    ----------
    projects : list of str, optional
        Whose streams it may know of; the streams that it makes belong to the first. None: all.
    expires_at : float, optional
        Seconds since 1970. None: never.
    upload_quota_bytes : int, optional
        What its uploads may hold in the landing area. None: what the disk takes.
    """

    name: TokenName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    projects: Annotated[list[ProjectName], Field(min_length=1, max_length=MAX_PROJECTS)] | None = None
    expires_at: Annotated[float, Field(ge=0, le=LATEST_TIME)] | None = None
    upload_quota_bytes: Annotated[int, Field(ge=1, lt=2**62)] | None = None


class NewStream(_Body):
    """What a stream shall be."""

    stream_id: StreamName
    pipeline: Annotated[str, Field(max_length=100)]
    mode: Literal["observe", "enforce"] | None = Field(
        None, description="By default a new stream observes, and one that is there keeps its mode."
    )
    project: ProjectName | None = Field(
        None, description="Of a new stream: by default the first one of the token, or `default`."
    )


class NewMode(_Body):
    """Whether decisions only are recorded, or move objects."""

    mode: Literal["observe", "enforce"]


class NewPolicy(_Body):
    """Another interestingness function, another policy, or both."""

    interestingness: InterestingnessSpec | None = None
    policy: Policy | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.interestingness is None and self.policy is None:
            raise ValueError("give an interestingness function, a policy, or both")
        return self


class NewPin(_Body):
    """In which tier an image is to stay, why, and who says so."""

    tier: TierName
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    by: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class NewRecall(_Body):
    """To which tier an image is to come back, why, and who says so."""

    tier: TierName | None = None
    reason: Annotated[str, Field(min_length=1, max_length=1000)] = "asked for"
    by: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class NoPin(_Body):
    """Why a pin is taken away, and who says so."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    by: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class NewEmptying(_Body):
    """Who asks for a trash to be emptied."""

    by: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class PrioritiesByJob(RootModel[dict[NumericId, Priority]]):
    """Priorities by the numbers of jobs."""

    root: Annotated[dict[NumericId, Priority], Field(max_length=MAX_PRIORITIES)]


class PrioritiesByIndex(_Body):
    """Priorities by the objects' numbers in their stream."""

    stream_id: StreamName
    priorities: Annotated[dict[NumericId, Priority], Field(max_length=MAX_PRIORITIES)]


class PrioritiesOfTasks(_Body):
    """Priorities by the numbers of tasks; null: the job's again."""

    tasks: Annotated[dict[NumericId, Priority | None], Field(max_length=MAX_PRIORITIES)]


Ids = Annotated[list[NumericId], Field(min_length=1, max_length=MAX_ASKED)]


class _Chosen(_Body):
    """Whom something is asked of: ids, or a filter of tasks.

    Attributes
    ----------
    state : str, optional
        Of the tasks: ``open``, ``done``, ``failed``, or a code such as 503.
    cursor : str, optional
        `next` of the answer before, to go on with the same filter.
    """

    stream_id: StreamName | None = None
    task_key: Name | None = None
    site: Name | None = None
    state: StateFilter | None = None
    cursor: NumericCursor | None = None

    @property
    @abstractmethod
    def ids(self) -> list[int] | None:
        """The numbers that were given."""

    @model_validator(mode="after")
    def _either_ids_or_filter(self) -> Self:
        chosen = (self.stream_id, self.task_key, self.site, self.state) != (None, None, None, None)
        if (self.ids is not None) == chosen:
            raise ValueError("give numbers, or at least one of stream_id, task_key, site and state; not both")
        if self.ids is not None and self.cursor is not None:
            raise ValueError("a cursor goes with a filter, not with numbers")
        return self


class ActionOnJobs(_Chosen):
    """Jobs by their numbers, or those that have tasks of a stream, key, site and state."""

    job_ids: Ids | None = None

    @property
    def ids(self) -> list[int] | None:
        """The numbers of jobs."""
        return self.job_ids


class ActionOnTasks(_Chosen):
    """Tasks by their numbers, or those of a stream, key, site and state."""

    task_ids: Ids | None = None

    @property
    def ids(self) -> list[int] | None:
        """The numbers of tasks."""
        return self.task_ids


class NewPriorities(RootModel[dict[str, Any]]):
    """``{"17": 5.0}``, ``{"stream_id": "plate7", "priorities": {"0": 3}}``, or ``{"tasks": {"31": 5}}``."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the forms; which one is meant is told apart by `stream_id` and `tasks`."""
        kinds = (PrioritiesByIndex, PrioritiesOfTasks, PrioritiesByJob)
        forms = [form.model_json_schema(*args, **kwargs) for form in kinds]
        return {"title": cls.__name__, "description": cls.__doc__, "anyOf": forms}

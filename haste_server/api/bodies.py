"""What requests carry in their bodies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

from haste_core.jobspec import JobSpec, Priority, StreamName
from haste_server.api.parameters import NumericId

MAX_BULK = 1000
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

    jobs: Annotated[list[JsonValue], Field(max_length=MAX_BULK)]

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the items, which are taken unread, as what they should be."""
        schema = super().model_json_schema(*args, **kwargs)
        schema["properties"]["jobs"]["items"] = {"$ref": f"#/components/schemas/{SubmittedJob.__name__}"}
        return schema


class NewStream(_Body):
    """What a stream shall be."""

    stream_id: StreamName
    pipeline: Annotated[str, Field(max_length=100)]
    mode: Literal["observe", "enforce"] = "observe"


class NewMode(_Body):
    """Whether decisions only are recorded, or move objects."""

    mode: Literal["observe", "enforce"]


class PrioritiesByJob(RootModel[dict[NumericId, Priority]]):
    """Priorities by the numbers of jobs."""

    root: Annotated[dict[NumericId, Priority], Field(max_length=MAX_PRIORITIES)]


class PrioritiesByIndex(_Body):
    """Priorities by the objects' numbers in their stream."""

    stream_id: StreamName
    priorities: Annotated[dict[NumericId, Priority], Field(max_length=MAX_PRIORITIES)]


class NewPriorities(RootModel[dict[str, JsonValue]]):
    """``{"17": 5.0}``, or ``{"stream_id": "plate7", "priorities": {"0": 3.0}}``."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe both forms; which one is meant is told apart by `stream_id`."""
        forms = [form.model_json_schema(*args, **kwargs) for form in (PrioritiesByIndex, PrioritiesByJob)]
        return {"title": cls.__name__, "description": cls.__doc__, "anyOf": forms}

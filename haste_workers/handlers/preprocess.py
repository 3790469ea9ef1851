"""Task ``preprocess``: makes a file smaller before it is sent or stored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haste_core.errors import TransientError
from haste_core.messages import Place, TaskMessage
from haste_core.operators import Operator
from haste_runtime.removal import mark_used
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import publish, sha256_of, sync_file
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.packing import Codec, Effort, Packing
from haste_workers.operators import chained, make_operator

_PUBLISH_TRIES = 3

_MAX_STEPS = 20
"""Of a chain: who writes more has made a mistake."""


class _Step(BaseModel):
    """An operator of a chain; beside its name stand its parameters."""

    model_config = ConfigDict(frozen=True, extra="allow")

    operator: str

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"operator": value} if isinstance(value, str) else value


class PreprocessParameters(HandlerParameters):
    """What a pipeline may choose; all else is a parameter of the operator.

    Attributes
    ----------
    operator : str
        A built-in one, or one of an installed package. The default loses nothing. Flood fill blackens the
        ground around a specimen, threshold all that is dark: their results are derivatives, and are marked
        as such.
    operators : list, optional
        In place of `operator`, several that work one after the other: names, or mappings of ``operator`` and
        its parameters.
    codec, effort
        As of `haste_workers.imaging.packing.Packing`.
    """

    model_config = ConfigDict(extra="allow")

    operator: str = "recompress"
    operators: Annotated[list[_Step], Field(min_length=1, max_length=_MAX_STEPS)] | None = None
    codec: Codec = "deflate"
    effort: Effort = "fast"

    @model_validator(mode="after")
    def _operators_stand_alone(self) -> Self:
        if self.operators is not None and ("operator" in self.model_fields_set or self.model_extra):
            raise ValueError(
                "beside operators, neither operator nor parameters of one may stand; put them in it"
            )
        return self

    def chosen(self) -> Operator:
        """Make the operators that were chosen, as one.

        Raises
        ------
        PermanentError
            There is none of such a name here, or its parameters are wrong.
        """
        steps = self.operators or [_Step(operator=self.operator, **(self.model_extra or {}))]
        return chained([make_operator(step.operator, step.model_extra or {}) for step in steps])


def preprocess(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> Answer:
    """Write the object anew, smaller, and answer the new file as its place; the original stays.

    Where it would not get smaller, the object stays where it is, and the response says ``kept``.

    Raises
    ------
    BadInputError
        If it is no readable image, or none that the operator can work on.
    TransientError
        If the object changes meanwhile.
    PermanentError
        If the parameters are wrong, or the operator fails.
    """
    parameters = PreprocessParameters.of(context)
    operator, packing = parameters.chosen(), Packing(parameters.codec, parameters.effort)
    source = context.source_file()
    folder = context.temp_dir / "smaller"
    folder.mkdir()
    before = _state_of(source)
    cpu_began = time.process_time()
    source_sha256 = sha256_of(source)
    limit_bytes = context.settings.image_limit_bytes
    smaller = write_smaller(source, folder, operator, packing, max_bytes=limit_bytes)
    cpu_s = round(time.process_time() - cpu_began, 4)
    if _state_of(source) != before:
        raise TransientError(f"{source} was written to while it was read; it is preprocessed again later")
    bytes_before = source.stat().st_size
    if smaller is None:
        told = _told(operator, packing, bytes_before, bytes_before, cpu_s)
        return Answer(
            {**told, "source_sha256": source_sha256, "lossless": True, "kept": True},
            message="would not get smaller; kept as it is",
        )
    place = _kept_place(smaller, context)
    told = _told(operator, packing, bytes_before, place.size_bytes, cpu_s)
    return Answer({**told, "source_sha256": source_sha256}, place)


def _state_of(source: Path) -> tuple[int, int]:
    status = source.stat()
    return status.st_size, status.st_mtime_ns


def _told(
    operator: Operator, packing: Packing, before: int, after: int | None, cpu_s: float
) -> dict[str, Any]:
    return {
        "operator": operator.name,
        "parameters": dict(operator.parameters),
        "description": operator.description,
        "lossless": operator.lossless,
        "codec": packing.codec,
        "effort": packing.effort,
        "bytes_before": before,
        "bytes_after": after,
        "cpu_s": cpu_s,
    }


def _kept_place(smaller: Path, context: TaskContext) -> Place:
    """Move the result to a name that its content gives, so that a second attempt finds it there."""
    sync_file(smaller)
    suffix = smaller.suffix if smaller.suffix.isascii() else ""
    target = context.intermediate_dir / f"{sha256_of(smaller)}{suffix}"
    for _ in range(_PUBLISH_TRIES):
        # It has this content if it is there; but it may be old and superseded, and be removed just now.
        if mark_used(target):
            break
        with suppress(FileExistsError, FileNotFoundError):
            publish(smaller, target)
            break
    return context.place_of(target)

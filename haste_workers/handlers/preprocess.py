"""Task ``preprocess``: makes a file smaller before it is sent or stored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from haste_core.messages import Place, TaskMessage
from haste_core.operators import Floodfill, Operator, Recompress
from haste_runtime.removal import mark_used
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import publish, sha256_of, sync_file
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.imaging.encode import floodfill_file, recompress

_PUBLISH_TRIES = 3


class PreprocessParameters(HandlerParameters):
    """What a pipeline may choose.

    Attributes
    ----------
    operator : {'recompress', 'floodfill'}
        The default loses nothing. Flood fill blackens the ground around a specimen: its result is a
        derivative, and is marked as one.
    threshold, bit_depth : optional
        Of the flood fill; see `haste_core.operators.Floodfill`.
    """

    operator: Literal["recompress", "floodfill"] = "recompress"
    threshold: Annotated[float, Field(ge=0)] | None = None
    bit_depth: Annotated[int, Field(ge=1, le=32)] | None = None

    @model_validator(mode="after")
    def _threshold_fits(self) -> Self:
        if self.operator == "recompress" and (self.threshold, self.bit_depth) != (None, None):
            raise ValueError("threshold and bit_depth are for the operator floodfill")
        flood = self.flood
        if flood.threshold >= 2**flood.bit_depth:
            raise ValueError(
                f"the threshold {flood.threshold:g} is above all levels of {flood.bit_depth} bits"
            )
        return self

    @property
    def flood(self) -> Floodfill:
        """The flood fill with the given parameters, and its own defaults for the others."""
        flood = Floodfill()
        if self.threshold is not None:
            flood = replace(flood, threshold=self.threshold)
        if self.bit_depth is not None:
            flood = replace(flood, bit_depth=self.bit_depth)
        return flood


def preprocess(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> Answer:
    """Write the object anew, smaller, and answer the new file as its place; the original stays.

    Where it would not get smaller, the object stays where it is, and the response says ``kept``.

    Raises
    ------
    BadInputError
        If it is no readable image, or none that the operator can work on.
    """
    parameters = PreprocessParameters.of(context)
    source = context.source_file()
    folder = context.temp_dir / "smaller"
    folder.mkdir()
    limit_bytes = context.settings.image_limit_bytes
    cpu_began = time.process_time()
    operator: Operator
    if parameters.operator == "floodfill":
        operator = parameters.flood
        smaller = floodfill_file(source, folder, parameters.flood, max_bytes=limit_bytes)
    else:
        operator = Recompress()
        smaller = recompress(source, folder, max_bytes=limit_bytes)
    cpu_s = round(time.process_time() - cpu_began, 4)
    bytes_before = source.stat().st_size
    if smaller is None:
        told = _told(operator, bytes_before, bytes_before, cpu_s)
        return Answer(
            {**told, "lossless": True, "kept": True}, message="would not get smaller; kept as it is"
        )
    place = _kept_place(smaller, context)
    return Answer(_told(operator, bytes_before, place.size_bytes, cpu_s), place)


def _told(operator: Operator, before: int, after: int | None, cpu_s: float) -> dict[str, Any]:
    return {
        "operator": operator.name,
        "parameters": dict(operator.parameters),
        "description": operator.description,
        "lossless": operator.lossless,
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

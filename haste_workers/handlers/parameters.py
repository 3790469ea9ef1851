"""Reading a handler's parameters, which a pipeline's author has written."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from haste_core.errors import PermanentError
from haste_core.findings import problems_of
from haste_workers.context import TaskContext


class HandlerParameters(BaseModel):
    """What every handler's parameters have; handlers add theirs.

    Attributes
    ----------
    timeout_s : float, optional
        The task's time limit, which the worker has read already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: float | None = None

    @classmethod
    def of(cls, context: TaskContext) -> Self:
        """Read the parameters of a task.

        Raises
        ------
        PermanentError
            With everything that is wrong with them.
        """
        try:
            return cls.model_validate(dict(context.parameters))
        except ValidationError as error:
            said = "; ".join(str(problem) for problem in problems_of(error))
            raise PermanentError(
                f"the pipeline's parameters for {context.message.task_key!r} are wrong: {said}"
            ) from error

"""Pipelines: the tasks, parameters, interestingness function and policy of a stream, under one name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from haste_core.alert_rules import AlertRule
from haste_core.alerts import watches_scores
from haste_core.errors import InvalidError, Problem
from haste_core.fields import Conditions, Form, Name
from haste_core.findings import problems_of
from haste_core.identity import identity_of
from haste_core.image_sets import ImageSetSpec
from haste_core.interestingness import BUILT_IN, InterestingnessError, built_in
from haste_core.policies import OwnPolicy, Policy
from haste_core.tasktree import Node, leaves

MAX_ALERT_RULES = 50

_NAME_FORM = Form(
    r"[a-z0-9][a-z0-9_-]{0,99}",
    "is not the name of a pipeline: at most 100 small letters, digits, '-' and '_', a letter or digit first",
)


class InterestingnessSpec(BaseModel):
    """Which interestingness function, with which parameters, on whose features.

    Attributes
    ----------
    function : str
        A built-in name, that of an installed package's, or ``module:callable`` in a pipeline file on the
        server.
    features_from : str
        Key of the task whose response holds the features.
    undefined_if : str or dict of str to str, optional
        An expression over the features, or several by the reason that is given where they are true. Then
        there is no score, and the policy's `undefined` tier is taken. They keep fields whose PLLS is high
        without a specimen in focus out of the top tiers.
    parameters : dict
        Handed to the function's constructor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: str
    features_from: Name
    undefined_if: Conditions | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_well_called(self) -> Self:
        if self.function in BUILT_IN:
            try:
                built_in(self.function, self.parameters)
            except InterestingnessError as error:
                raise self._badly_called(error) from error
        return self

    def _badly_called(self, error: InterestingnessError) -> ValidationError:
        """Tell pydantic which parameters are wrong, and how."""
        cause = error.__cause__
        problems = problems_of(cause) if isinstance(cause, ValidationError) else [Problem("", str(error))]
        found = [
            InitErrorDetails(
                type=PydanticCustomError("parameter", "{what}", {"what": problem.what}),
                loc=("parameters", problem.where) if problem.where else ("parameters",),
                input=self.parameters,
            )
            for problem in problems
        ]
        return ValidationError.from_exception_data(type(self).__name__, found)


class Pipeline(BaseModel):
    """What happens to the objects of a stream.

    Attributes
    ----------
    tasks : Task or Sequential or Parallel
        The tree that each job of the stream gets.
    parameters : dict of dict
        For handlers, by task key.
    interestingness, policy : optional
        Needed if `tier` is one of the tasks.
    image_set : ImageSetSpec, optional
        Which images are decided about as one. None: each alone.
    alerts : tuple of AlertRule
        What somebody wants to be told while the stream runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, _NAME_FORM]
    description: str
    tasks: Node
    parameters: dict[Name, dict[str, JsonValue]] = Field(default_factory=dict)
    interestingness: InterestingnessSpec | None = None
    policy: Policy | None = None
    image_set: ImageSetSpec | None = None
    alerts: Annotated[tuple[AlertRule, ...], Field(max_length=MAX_ALERT_RULES)] = ()

    @model_validator(mode="after")
    def _tier_has_a_policy(self) -> Self:
        keys = {task.task_key for task in leaves(self.tasks)}
        if "tier" in keys and (self.interestingness is None or self.policy is None):
            raise ValueError("the task 'tier' needs an interestingness function and a policy")
        if "tier" not in keys and self.image_set is not None:
            raise ValueError("an image_set is decided about by the task 'tier', which is missing")
        if self.image_set is not None and isinstance(self.policy, OwnPolicy):
            raise ValueError(
                "an image_set needs a policy of intervals, top-k or budget; your own judges each image alone"
            )
        return self

    @model_validator(mode="after")
    def _watched_scores_are_made(self) -> Self:
        if watches_scores(self.alerts) and (self.interestingness is None or self.policy is None):
            raise ValueError(
                "alerts about scores (low-scores, well-below) need an interestingness function and a policy"
            )
        return self

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read a pipeline from decoded YAML or JSON.

        Raises
        ------
        InvalidError
            With every problem that it has.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidError(problems_of(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Write the pipeline as a JSON object that `parse` reads back as an equal pipeline."""
        return self.model_dump(mode="json", by_alias=True)

    @cached_property
    def sha256(self) -> str:
        """The hash of all that it says, in hex; see `haste_core.identity`."""
        said = identity_of(self)
        if self.policy is not None:
            said["policy"] = identity_of(self.policy)
        written = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; a hash that is known already is not its."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("sha256", None)
        return copied

"""What another policy would do with a stream's images, and giving it one: the forms on the stream's page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from flask import jsonify, redirect, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response

from haste_core.errors import ConflictError, InvalidError, Problem
from haste_core.objects import Foreseen, tiers_of
from haste_core.pipelines import Pipeline
from haste_core.policies import BudgetPolicy, IntervalPolicy, Policy, TopPolicy
from haste_server.api.bodies import NewPolicy
from haste_server.api.objects import apply_change, changed_pipeline
from haste_server.api.problems import refuse_invalid
from haste_server.api.services import services
from haste_server.web.pages import blueprint, show

_PRESENT = "present"  # the field that names the policy which the form was made from


@dataclass(frozen=True)
class Input:
    """A number of a policy that can be changed.

    Attributes
    ----------
    kind : str
        ``number``, or ``text`` for bytes with a unit.
    least, most, step : str, optional
        Of a number.
    """

    name: str
    label: str
    value: str
    kind: str = "number"
    least: str | None = None
    most: str | None = None
    step: str | None = None


@dataclass(frozen=True)
class PolicyForm:
    """What of a stream's policy can be changed on its page.

    Attributes
    ----------
    present : str
        Names the policy, so that nobody changes another one than they saw.
    """

    present: str
    inputs: Sequence[Input]


def policy_form(pipeline: Pipeline) -> PolicyForm | None:
    """Make the form of a policy; None if there is nothing in it that a page could change."""
    inputs = [] if pipeline.policy is None else list(_inputs(pipeline.policy))
    return PolicyForm(_name_of(pipeline), inputs) if inputs else None


@blueprint.post("/stream/<stream_id>/policy/preview")
def preview_policy(stream_id: str) -> Response:
    """Tell what would be, if: to the script, or as a page of its own."""
    changed = changed_pipeline(stream_id, _asked(stream_id))
    foreseen = services().objects.preview(stream_id, changed)
    moving = [shift for shift in foreseen.shifts if shift.before != shift.after]
    tiers = {tier: [count, size] for tier, (count, size) in sorted(tiers_of(foreseen.shifts).items())}
    summary = {
        "tiers": tiers,
        "moving": sum(shift.count for shift in moving),
        "moving_bytes": sum(shift.size_bytes for shift in moving),
    }
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify(summary)
    return show(
        "preview.html",
        stream_id=stream_id,
        summary=summary,
        before=_held(foreseen),
        moving=moving,
        fields=[(name, value) for name, value in request.form.items(multi=True) if name != "form_token"],
    )


@blueprint.post("/stream/<stream_id>/policy")
def apply_policy(stream_id: str) -> Response:
    """Decide by the policy that the form says, also about what was decided before."""
    apply_change(stream_id, _asked(stream_id))
    return redirect(url_for("pages.stream", stream_id=stream_id) + "#tiers", HTTPStatus.SEE_OTHER)


def _held(foreseen: Foreseen) -> dict[str, int]:
    held: dict[str, int] = {}
    for shift in foreseen.shifts:
        held[shift.before] = held.get(shift.before, 0) + shift.count
    return held


def _inputs(policy: Policy) -> Iterator[Input]:
    if isinstance(policy, IntervalPolicy):
        for one in policy.intervals[1:]:
            yield Input("border", f"{one.tier} from", f"{one.lo:g}", least="0", most="1", step="any")
    elif isinstance(policy, TopPolicy) and policy.k is not None:
        yield Input("k", f"Best images in {policy.tier}", str(policy.k), least="1", step="1")
    elif isinstance(policy, TopPolicy):
        label = f"Per cent of the images in {policy.tier}"
        yield Input("percent", label, f"{policy.percent:g}", least="0", most="100", step="any")
    elif isinstance(policy, BudgetPolicy):
        for budget in policy.budgets:
            yield Input("bytes", f"Room in {budget.tier}", _room(budget.bytes), kind="text")


def _room(size_bytes: int) -> str:
    """Write bytes in the largest unit in which they are a whole number."""
    units = ["B", "KB", "MB", "GB", "TB"]
    while len(units) > 1 and size_bytes % 1000 == 0:
        size_bytes //= 1000
        units.pop(0)
    return f"{size_bytes} {units[0]}"


def _asked(stream_id: str) -> NewPolicy:
    """Read the policy that a form says.

    Raises
    ------
    ConflictError
        If the stream has another policy than the one that the form was made from.
    InvalidError
    """
    pipeline = services().streams.stream(stream_id).pipeline
    if request.form.get(_PRESENT) != _name_of(pipeline) or pipeline.policy is None:
        raise ConflictError(
            f"the policy of stream {stream_id!r} was changed after this page was opened: go back, reload the "
            "page, and look at its borders again"
        )
    said = pipeline.policy.model_dump(mode="json", by_alias=True, exclude_none=True)
    try:
        return NewPolicy.model_validate({"policy": said | _changes(pipeline.policy)})
    except ValidationError as error:
        refuse_invalid(error)


def _changes(policy: Policy) -> dict[str, Any]:
    if isinstance(policy, IntervalPolicy):
        ends = [0.0, *map(_number, _values("border", len(policy.intervals) - 1)), 1.0]
        cut = zip(pairwise(ends), policy.intervals, strict=True)
        return {"intervals": [{"lo": lo, "hi": hi, "tier": one.tier} for (lo, hi), one in cut]}
    if isinstance(policy, TopPolicy):
        name = "percent" if policy.k is None else "k"
        return {name: _number(_values(name, 1)[0])}
    if isinstance(policy, BudgetPolicy):
        sizes = zip(policy.budgets, _values("bytes", len(policy.budgets)), strict=True)
        return {"budgets": [{"tier": budget.tier, "bytes": size} for budget, size in sizes]}
    raise ConflictError("this policy can only be changed in the pipeline file on the server")


def _values(name: str, count: int) -> list[str]:
    values = request.form.getlist(name)
    if len(values) != count:
        raise InvalidError([Problem(name, f"should be given {count} times, not {len(values)}")])
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidError([Problem("policy", f"{text!r} is no number")]) from None


def _name_of(pipeline: Pipeline) -> str:
    return hashlib.sha256(json.dumps(pipeline.to_json(), sort_keys=True).encode()).hexdigest()[:16]

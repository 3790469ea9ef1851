"""Objects: what was decided about them, what another policy would decide, and pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.errors import ConflictError, InvalidError, Problem
from haste_core.interestingness import QUICK
from haste_core.jobs import was_deleted
from haste_core.objects import DecidedObject, DecisionRecord, ObjectFilter, Shift, tiers_of
from haste_core.pipelines import Pipeline
from haste_core.policies import OwnPolicy
from haste_core.unknown_names import unknown_names
from haste_server.api.answers import Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import NewPin, NewPolicy, NewRecall, NoPin
from haste_server.api.object_answers import (
    DecisionsAnswer,
    DecisionsPage,
    ObjectAnswer,
    ObjectsPage,
    PolicyAnswer,
    PreviewAnswer,
    TargetsAnswer,
)
from haste_server.api.parameters import JobPath, ObjectsQuery, PageQuery, StreamPath, TargetsQuery
from haste_server.api.problems import documented
from haste_server.api.services import services
from haste_server.extensions import registered, registered_policy

blueprint = Blueprint(
    "objects",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="objects", description="What was decided")],
    abp_responses=documented(400, 401, 403, 404, 429, 503),
)


@blueprint.get(
    "/stream/<stream_id>/images",
    summary="List the images of a stream with their scores",
    responses={200: ObjectsPage},
)
def images(path: StreamPath, query: ObjectsQuery) -> Shown:
    """List what was decided about, by score or as submitted."""
    services().streams.stream(path.stream_id)
    wanted = ObjectFilter(tier=query.tier, lowest=query.min, highest=query.max)
    page = services().objects.objects(
        path.stream_id, wanted, order=query.order, cursor=query.cursor, limit=query.limit
    )
    return {"images": [_show(item) for item in page.items], "next": page.next}


@blueprint.get(
    "/stream/<stream_id>/targets",
    summary="List the best images with where they were taken",
    description="For a microscope's own control loop: go there again. An image set is one, an image is in "
    "its latest version, and what was deleted is left out.",
    responses={200: TargetsAnswer},
)
def targets(path: StreamPath, query: TargetsQuery) -> Shown:
    """List the images with the highest scores."""
    services().streams.stream(path.stream_id)
    shown = [
        {
            "job_id": item.job.job_id,
            "source_id": item.decision.source_id,
            "index": item.job.spec.index,
            "score": item.decision.score,
            "tier": item.decision.tier,
            "location": item.job.spec.location,
            "metadata": item.job.spec.metadata,
            "facts": item.decision.features.get("facts", {}),
        }
        for item in services().objects.best(path.stream_id, number=query.top)
    ]
    return {"targets": shown}


@blueprint.post(
    "/stream/<stream_id>/policy/preview",
    summary="Try another function or policy",
    description="Tells how many objects and bytes each tier would hold, and what would move. Nothing moves.",
    responses={200: PreviewAnswer, **documented(408, 409, 413, 415)},
)
def preview(path: StreamPath, body: NewPolicy) -> Shown:
    """Tell what would be, if."""
    changed = changed_pipeline(path.stream_id, body)
    foreseen = services().objects.preview(path.stream_id, changed)
    deleted = services().trash_store.deleted(path.stream_id)
    return {
        **_summary(foreseen.shifts),
        "unscored": {"count": foreseen.unscored, "reason": foreseen.why_unscored},
        "deleted": {"count": deleted.count, "size_bytes": deleted.size_bytes},
        "warnings": _warnings(path.stream_id, changed),
    }


@blueprint.post(
    "/stream/<stream_id>/policy",
    summary="Decide by another function or policy",
    description="Also about what was decided before; if the stream enforces, what belongs elsewhere moves.",
    responses={200: PolicyAnswer, **documented(408, 409, 413, 415)},
)
def apply_policy(path: StreamPath, body: NewPolicy) -> Shown:
    """Give a stream another policy."""
    changed = apply_change(path.stream_id, body)
    warnings = _warnings(path.stream_id, changed)
    return {"stream_id": path.stream_id, "pipeline": changed.to_json(), "warnings": warnings}


@blueprint.get(
    "/stream/<stream_id>/decisions",
    summary="List the decisions of a stream",
    description="All of them, in their order, with what each was made from.",
    responses={200: DecisionsPage},
)
def decisions(path: StreamPath, query: PageQuery) -> Shown:
    """List what was decided, to check it or to keep it."""
    services().streams.stream(path.stream_id)
    page = services().objects.decisions(path.stream_id, cursor=query.cursor, limit=query.limit)
    return {"decisions": [_show_decision(record) for record in page.items], "next": page.next}


@blueprint.get(
    "/job/<id:job_id>/decisions",
    summary="List the decisions about an image",
    responses={200: DecisionsAnswer},
)
def decisions_about(path: JobPath) -> Shown:
    """List all that was decided about the object of a job, the first decision first."""
    records = services().objects.decisions_about(path.job_id)
    return {"decisions": [_show_decision(record) for record in records]}


@blueprint.post(
    "/job/<id:job_id>/pin",
    summary="Keep an image in a tier",
    description="Whatever the policy says, until it is unpinned.",
    responses={200: ObjectAnswer, **documented(408, 409, 413, 415)},
)
def pin(path: JobPath, body: NewPin) -> Shown:
    """Pin the object of a job to a tier."""
    present = _present(path.job_id)
    _check_tiers(frozenset({body.tier}))
    services().objects.pin(
        path.job_id, body.tier, reason=body.reason, made_by=body.by, now=services().clock()
    )
    services().wake()
    return _show(services().objects.decision_of(present.job.job_id))


@blueprint.post(
    "/job/<id:job_id>/unpin",
    summary="Let the policy decide about an image again",
    responses={200: ObjectAnswer, **documented(408, 409, 413, 415)},
)
def unpin(path: JobPath, body: NoPin) -> Shown:
    """Take a pin away."""
    if not _present(path.job_id).pinned:
        raise ConflictError(f"the image of job {path.job_id} is not pinned")
    services().objects.unpin(path.job_id, reason=body.reason, made_by=body.by, now=services().clock())
    services().wake()
    return _show(services().objects.decision_of(path.job_id))


@blueprint.post(
    "/job/<id:job_id>/recall",
    summary="Bring an image back to a fast tier",
    description=(
        "By default to the one for the highest scores. If the stream enforces, it moves. "
        "What the tier's `retain_days` says counts from now."
    ),
    responses={200: ObjectAnswer, **documented(408, 409, 413, 415)},
)
def recall(path: JobPath, body: NewRecall) -> Shown:
    """Bring the object of a job back."""
    present = _present(path.job_id)
    if present.pinned:
        raise ConflictError(
            f"the image of job {path.job_id} is pinned to {present.decision.tier}; unpin it first"
        )
    # What was decided alike has no record of the stream's later policy.
    policy = services().streams.stream(present.decision.stream_id).pipeline.policy
    assert policy is not None, "nothing is decided without a policy"
    tier = body.tier or policy.highest
    _check_tiers(frozenset({tier}) - policy.tiers)
    services().objects.recall(path.job_id, tier, reason=body.reason, made_by=body.by, now=services().clock())
    services().wake()
    return _show(services().objects.decision_of(path.job_id))


def _present(job_id: int) -> DecidedObject:
    """Load an object that is still there."""
    found = services().objects.decision_of(job_id)
    if found.deleted_at is not None:
        raise ConflictError(was_deleted(job_id))
    return found


def apply_change(stream_id: str, body: NewPolicy) -> Pipeline:
    """Give a stream another function or policy; return its pipeline."""
    changed = changed_pipeline(stream_id, body)
    services().try_own_parts({changed.name: changed})
    stream = services().streams.set_policy(stream_id, changed)
    services().wake()
    return stream.pipeline


def changed_pipeline(stream_id: str, body: NewPolicy) -> Pipeline:
    """Make the pipeline that a stream would have.

    Raises
    ------
    ConflictError
        If nothing is decided about its images.
    InvalidError
        If it may not have this one.
    """
    present = services().streams.stream(stream_id).pipeline
    if present.interestingness is None or present.policy is None:
        raise ConflictError(
            f"the pipeline {present.name!r} of stream {stream_id!r} has no interestingness function and no "
            "policy: nothing is decided about its images. Submit them to a stream whose pipeline has both"
        )
    given = body.model_dump(mode="json", by_alias=True, exclude_none=True)
    changed = Pipeline.parse(present.to_json() | given)
    spec, policy = changed.interestingness, changed.policy
    assert spec is not None
    assert policy is not None
    if spec.features_from != present.interestingness.features_from:
        what = f"has to stay {present.interestingness.features_from!r}, whose answers are recorded"
        raise InvalidError([Problem("interestingness.features_from", what)])
    if spec != present.interestingness and not registered(spec.function):
        known = ", ".join(sorted(QUICK))
        what = (
            f"there is no function {spec.function!r} that may be named here (known: {known}, and those of "
            "packages that are installed at the server); others go into a pipeline file there"
        )
        raise InvalidError([Problem("interestingness.function", what)])
    if isinstance(policy, OwnPolicy) and policy != present.policy and not registered_policy(policy.policy):
        what = f"{policy.policy!r} is no policy of a package that is installed at the server"
        raise InvalidError([Problem("policy.policy", what)])
    if policy.move != present.policy.move:
        there = str(present.policy.move).lower()
        what = f"has to stay {there}: only the server's pipeline files say whether originals are removed"
        raise InvalidError([Problem("policy.move", what)])
    _check_tiers(policy.tiers - present.policy.tiers, "policy")
    return changed


def _check_tiers(tiers: frozenset[str], where: str = "tier") -> None:
    unknown = sorted(tiers - services().tiers)
    if unknown:
        known = ", ".join(sorted(services().tiers))
        what = (
            f"there is no tier {unknown[0]!r} here (known: {known}); "
            "tiers are set up in the server's configuration"
        )
        raise InvalidError([Problem(where, what)])


def _warnings(stream_id: str, changed: Pipeline) -> list[str]:
    """Tell what is probably misspelt; it may be right for images that are still to come."""
    spec = changed.interestingness
    assert spec is not None
    return unknown_names(spec, services().objects.scored_last(stream_id))


def _summary(shifts: Sequence[Shift]) -> dict[str, Any]:
    moving = [shift for shift in shifts if shift.before != shift.after]
    return {
        "tiers": {
            tier: {"count": count, "size_bytes": size_bytes}
            for tier, (count, size_bytes) in sorted(tiers_of(shifts).items())
        },
        "moves": [
            {
                "before": shift.before,
                "after": shift.after,
                "count": shift.count,
                "size_bytes": shift.size_bytes,
            }
            for shift in moving
        ],
        "count": sum(shift.count for shift in shifts),
        "moving": sum(shift.count for shift in moving),
    }


def _show(item: DecidedObject) -> dict[str, Any]:
    job, decision = item.job, item.decision
    return {
        "job_id": job.job_id,
        "source_id": decision.source_id,
        "source_url": job.spec.source_url,
        "index": job.spec.index,
        "score": decision.score,
        "tier": decision.tier,
        "reason": decision.reason,
        "origin": decision.origin,
        "decided_at": decision.made_at,
        "decision_id": decision.decision_id,
        "pinned": item.pinned,
        "features": decision.features,
        "metadata": job.spec.metadata,
        "timestamp": job.spec.timestamp,
        "location": job.spec.location,
        "place": None if job.place is None else job.place.model_dump(exclude_none=True),
        "size_bytes": item.size_bytes,
        "deleted_at": item.deleted_at,
    }


def _show_decision(record: DecisionRecord) -> Mapping[str, Any]:
    return {
        "decision_id": record.decision_id,
        "job_id": record.job_id,
        "source_id": record.source_id,
        "made_at": record.made_at,
        "score": record.score,
        "tier": record.tier,
        "reason": record.reason,
        "mode": record.mode,
        "origin": record.origin,
        "made_by": record.made_by,
        "features": record.features,
        "circumstances": record.circumstances,
        "pipeline": record.pipeline.name,
        "interestingness": record.interestingness,
        "policy": record.policy,
        "input_sha256": record.input_sha256,
        "software_version": record.software_version,
        "supersedes": record.supersedes,
        "seen": record.seen,
        "members": None if record.members is None else list(record.members),
    }

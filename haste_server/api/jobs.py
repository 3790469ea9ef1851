"""Jobs: submit, look up, retry, cancel, forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_openapi3.models.tag import Tag

from haste_core.errors import InvalidError
from haste_core.jobs import JobRecord
from haste_core.jobspec import JobSpec, check_size, parse_job_spec
from haste_core.stores import JobFilter, Page, Refused, Submitted
from haste_server.api.answers import JobAnswer, JobIdsPage, JobsPage, Shown, SubmissionResults
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import SubmittedJob, SubmittedJobs
from haste_server.api.parameters import JobPath, JobsQuery, PageQuery, SourcePath, SubmissionHeaders
from haste_server.api.problems import documented
from haste_server.api.services import services
from haste_server.api.waiting import explained

blueprint = Blueprint(
    "jobs",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="jobs", description="One object's work")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.post(
    "/job/",
    summary="Submit a job",
    description="A source that the stream knows already answers with the job that is there (200).",
    responses={200: JobAnswer, 201: JobAnswer, **documented(408, 409, 413, 415)},
)
def submit(header: SubmissionHeaders, body: SubmittedJob) -> Shown:
    """Store one job."""
    check_size(body)
    (submitted,) = _store([body], header.idempotency_key)
    if isinstance(submitted, Refused):
        raise InvalidError(submitted.problems)
    location = url_for("jobs.show", job_id=submitted.job_id)
    job = submitted.job or services().jobs.job(submitted.job_id)
    return show_job(job), 201 if submitted.created else 200, {"Location": location}


@blueprint.post(
    "/jobs/",
    summary="Submit many jobs",
    description="One answer for each spec, in their order; a bad one does not stop the others.",
    responses={200: SubmissionResults, **documented(408, 409, 413, 415)},
)
def submit_many(header: SubmissionHeaders, body: SubmittedJobs) -> Shown:
    """Store up to a thousand jobs."""
    judged = [_judge(value) for value in body.jobs]
    specs = [item for item in judged if isinstance(item, JobSpec)]
    stored = iter(_store(specs, header.idempotency_key))
    answers = [next(stored) if isinstance(item, JobSpec) else item for item in judged]
    return {"results": [_submission_result(answer) for answer in answers]}


@blueprint.get(
    "/jobs/",
    summary="List jobs",
    description="In the order of their numbers; with `ended_since` in the order of their ends.",
    responses={200: JobsPage},
)
def list_jobs(query: JobsQuery) -> Shown:
    """List jobs by stream, source, state or end."""
    wanted = JobFilter(
        stream_id=query.stream_id,
        source_id=query.source_id,
        state=query.state,
        ended_since=query.ended_since,
    )
    page = services().jobs.jobs(wanted, cursor=query.cursor, limit=query.limit)
    return {"jobs": [show_job(job) for job in page.items], "next": page.next}


@blueprint.get("/job/<id:job_id>", summary="Show a job", responses={200: JobAnswer, **documented(404)})
def show(path: JobPath) -> Shown:
    """Show a job with its tasks' live states."""
    return show_job(services().jobs.job(path.job_id))


@blueprint.delete("/job/<id:job_id>", summary="Forget a job", responses={204: None, **documented(404)})
def delete(path: JobPath) -> Shown:
    """Forget a job and its tasks; decisions about its object stay."""
    services().jobs.delete(path.job_id)
    return "", 204


@blueprint.post("/job/<id:job_id>/delete", summary="Forget a job", responses={204: None, **documented(404)})
def delete_by_post(path: JobPath) -> Shown:
    """Forget a job, for clients that cannot send DELETE."""
    services().jobs.delete(path.job_id)
    return "", 204


@blueprint.post(
    "/job/<id:job_id>/retry",
    summary="Retry a job",
    description="Failed, reset and cancelled tasks run again, done ones do not.",
    responses={200: JobAnswer, **documented(404, 409)},
)
def retry(path: JobPath) -> Shown:
    """Run the failed tasks of a job again."""
    job = services().jobs.retry_job(path.job_id, now=services().clock())
    services().wake()
    return show_job(job)


@blueprint.post(
    "/job/<id:job_id>/cancel",
    summary="Cancel a job",
    description="All its tasks that are open end as 410; those that run are stopped. It can be retried.",
    responses={200: JobAnswer, **documented(404, 409)},
)
def cancel(path: JobPath) -> Shown:
    """End what is open of a job."""
    return show_job(services().jobs.cancel_job(path.job_id, now=services().clock()))


@blueprint.get("/job/inprogress", summary="List the jobs in progress", responses={200: JobIdsPage})
def in_progress(query: PageQuery) -> Shown:
    """List the numbers of the jobs that are open."""
    return _ids(services().jobs.job_ids(JobFilter(state="open"), cursor=query.cursor, limit=query.limit))


@blueprint.get(
    "/search/<path:source_id>",
    summary="Find the jobs of a source",
    description="404: no source can be called so; one that is not there has no jobs.",
    responses={200: JobIdsPage, **documented(404)},
)
def search(path: SourcePath, query: PageQuery) -> Shown:
    """List the numbers of the jobs of one source."""
    wanted = JobFilter(source_id=path.source_id)
    return _ids(services().jobs.job_ids(wanted, cursor=query.cursor, limit=query.limit))


def show_job(job: JobRecord) -> dict[str, Any]:
    """Show a job; tasks that nobody takes say so, and those that run how far they are."""
    look = services().live.now()
    return explained(job, look.routes).to_json(look.held)


def _store(specs: Sequence[JobSpec], idempotency_key: str | None) -> list[Submitted | Refused]:
    if not specs:
        return []
    now = services().clock()
    answers = services().jobs.submit(specs, now=now, idempotency_key=idempotency_key)
    if any(isinstance(answer, Submitted) and answer.created for answer in answers):
        services().wake()
    return answers


def _judge(value: Any) -> JobSpec | Refused:
    try:
        spec = parse_job_spec(value)
        check_size(spec)
    except InvalidError as error:
        return Refused(error.problems)
    return spec


def _submission_result(answer: Submitted | Refused) -> dict[str, Any]:
    if isinstance(answer, Submitted):
        return {"status": 201 if answer.created else 200, "job_id": answer.job_id}
    problems = [{"where": problem.where, "what": problem.what} for problem in answer.problems]
    return {"status": 400, "problems": problems}


def _ids(page: Page[int]) -> dict[str, Any]:
    return {"jobs": page.items, "next": page.next}

"""What each operation asks a token for: the one place where that stands."""

from __future__ import annotations

from collections.abc import Mapping

from haste_core.tokens import Scope

Wanted = frozenset[Scope]
"""Scopes of which a token needs one; none: the operation is open to all."""

OPEN: Wanted = frozenset()
READ: Wanted = frozenset({Scope.READ})
SUBMIT: Wanted = frozenset({Scope.SUBMIT})
SEND: Wanted = frozenset({Scope.SUBMIT, Scope.WORK})  # workers upload, too
ADMIN: Wanted = frozenset({Scope.ADMIN})

_OPERATIONS: Mapping[Wanted, str] = {
    # The pages that ask for the token, what they look like, the description of the API; monitoring.
    OPEN: """
        health.health health.ready
        openapi
        pages.login pages.log_in pages.static pages.swagger_file
    """,
    READ: """
        alerts.list_alerts
        events.follow
        jobs.in_progress jobs.list_jobs jobs.search jobs.show
        metrics.show
        objects.decisions objects.decisions_about objects.images objects.preview objects.targets
        pages.alerts pages.api pages.job pages.jobs pages.log_out pages.measurements pages.mode pages.picture
        pages.preview_policy pages.stream pages.streams pages.workers
        streams.list_streams streams.mode streams.pipelines streams.show streams.sources
        tasks.show
        tiers.list_tiers
        tokens.own
        trashes.trashed
        workers.show
    """,
    SUBMIT: """
        actions.cancel_jobs actions.force_retry_tasks actions.reset_tasks actions.retry_jobs
        actions.retry_tasks
        agent.receive
        alerts.acknowledge
        jobs.cancel jobs.delete jobs.delete_by_post jobs.retry jobs.submit jobs.submit_many
        objects.apply_policy objects.pin objects.recall objects.unpin
        pages.acknowledge pages.acknowledge_here pages.act_on_jobs pages.act_on_task pages.cancel
        pages.apply_policy pages.new_job pages.pin pages.reset pages.retry pages.set_mode pages.set_priority
        pages.submit_job pages.unpin
        priorities.change_priorities
        streams.complete streams.create streams.receive streams.set_mode
        tasks.force_retry tasks.reset tasks.retry
    """,
    SEND: """
        uploads.append uploads.create uploads.offered uploads.offered_of_one uploads.overridden uploads.show
        uploads.terminate
    """,
    ADMIN: """
        audits.list_entries
        tokens.create tokens.list_tokens tokens.revoke
        trashes.empty
    """,
}

OF_ALL_PROJECTS = frozenset(
    {"audits.list_entries", "metrics.show", "tokens.create", "tokens.list_tokens", "tokens.revoke"}
)
"""Operations for those only who may know of all projects."""

WHILE_AWAY = frozenset({"metrics.show"})
"""Operations open to tokens that were good when the database could last be asked, while it is away."""

SCOPES: Mapping[str, Wanted] = {
    endpoint: wanted for wanted, endpoints in _OPERATIONS.items() for endpoint in endpoints.split()
}
"""By the operation's endpoint, which is its module and its function."""


def wanted_by(endpoint: str | None) -> Wanted:
    """Tell what an operation asks for. One that nobody has named here is for administrators."""
    return SCOPES.get(endpoint or "", ADMIN)


_NOT_LOGGED = frozenset({"jobs.submit", "jobs.submit_many", "agent.receive", "streams.receive"})


def is_logged(endpoint: str | None) -> bool:
    """Tell whether an operation is a change that the log of changes tells.

    Images that come are not: there are too many of them, and each is a job that tells when it came.
    """
    wanted = wanted_by(endpoint)
    return wanted not in (OPEN, READ, SEND) and endpoint not in _NOT_LOGGED

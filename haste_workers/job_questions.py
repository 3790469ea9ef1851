"""What a worker asks its server about jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from pydantic import BaseModel, ValidationError

from haste_core.errors import PermanentError, TransientError
from haste_core.messages import Place
from haste_workers.settings import WorkerSettings
from haste_workers.web import session_for

_TIMEOUTS_S = (10.0, 30.0)  # to connect; for the answer


@dataclass(frozen=True)
class JobAtServer:
    """What the server says about a job.

    Attributes
    ----------
    state : int
    place_url : str
        Where the object is now.
    """

    stream_id: str
    source_url: str
    state: int
    place_url: str


AskJob = Callable[[int], JobAtServer | None]
"""Asks the server about a job; None if it knows none. Raises HasteError if it cannot be asked now."""


class _Job(BaseModel):
    stream_id: str
    source_url: str
    state: int
    place: Place | None


@contextmanager
def job_asker(settings: WorkerSettings) -> Iterator[AskJob]:
    """Make a function that asks the server of these settings, over one connection.

    Parameters
    ----------
    settings : WorkerSettings
        With a `server_url`.
    """
    assert settings.server_url is not None

    def ask(job_id: int) -> JobAtServer | None:
        url = f"{settings.server_url}/HASTE/job/{job_id}"
        try:
            answer = session.get(url, timeout=_TIMEOUTS_S, allow_redirects=False)
        except requests.RequestException as error:
            raise TransientError(f"{settings.server_url} cannot be asked now: {error}") from error
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise TransientError(f"{url}: the server says {answer.status_code} {answer.reason}")
        try:
            job = _Job.model_validate_json(answer.content)
        except ValidationError as error:
            raise PermanentError(f"{url} does not answer like a HASTE server") from error
        place_url = job.source_url if job.place is None else job.place.url
        return JobAtServer(job.stream_id, job.source_url, job.state, place_url)

    with session_for(settings.server_url) as session:
        if settings.token is not None:
            session.headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        yield ask

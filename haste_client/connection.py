"""One HTTP session with a HASTE server: time-outs, retries, and answers that become values or errors."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Container, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
import stamina
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from haste_client.errors import (
    AccessDeniedError,
    CertificateError,
    OutageError,
    ServerError,
    ServerUnreachableError,
)
from haste_client.retries import RETRIED, quiet_retries
from haste_core.errors import (
    ConflictError,
    HasteError,
    InvalidError,
    NotFoundError,
    OutcomeUnknownError,
    Problem,
)
from haste_runtime.loopback import is_this_machine
from haste_runtime.sessions import by_way_of, certificate_trouble, connection_trouble, use_own_way
from haste_runtime.tus import Sent, send_file

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # a bulk call of 1000 jobs on a busy disk takes seconds, not minutes

LOOK_TIMEOUT_S = 10.0  # how it is just now is told soon, or not at all

TIMEOUTS_S = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)

# A server that has not answered yet is more likely not running than on its way back.
FIRST_ANSWER_S = 3.0

_LOOK_FIRST = (
    "What was asked for may be done all the same, wholly or in part: look first (haste jobs, haste job, "
    "haste task), and ask again for what is not"
)

# 502 and 504 are said by proxies before the server; 423 where it has not noticed yet that a connection broke.
_TRANSIENT_STATUSES = frozenset({423, 429, 502, 503, 504})

_EVENTS = "text/event-stream"

_Answer = TypeVar("_Answer")


class Connection:
    """Speaks JSON with one server.

    Parameters
    ----------
    url : str
        The server's address, for example ``http://127.0.0.1:5510``.
    token : str, optional
        Sent as a bearer token.
    retry_for_s : float
        How long a call goes on trying while the server is unreachable or has an outage; until its first
        answer, at most `FIRST_ANSWER_S`.
    ca_file : Path, optional
        Certificates of the authorities to trust. None: the system's, or those of ``REQUESTS_CA_BUNDLE``.
    proxy : str, optional
        By way of which the server is asked. None: as the environment says.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        retry_for_s: float = 15.0,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._retry_for_s = retry_for_s
        self._has_answered = False
        quiet_retries()
        self._session = requests.Session()
        self._session.trust_env = not is_this_machine(self.url)
        use_own_way(self._session, self.url, ca_file=ca_file, proxy=proxy)
        self._session.headers["Accept"] = "application/json"
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close the session's sockets."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask for something."""
        return self._retrying(lambda: self._call("GET", path, params=params))

    def get_once(self, path: str) -> Any:
        """Ask for the state of this moment: an outage is told at once, not waited for."""
        return self._call("GET", path)

    def look(self, path: str, *, also: Container[int] = ()) -> tuple[Any, float | None]:
        """Ask once for the state of this moment.

        Parameters
        ----------
        path : str
        also : container of int
            HTTP statuses that come with an answer in JSON, too.

        Returns
        -------
        answer : object
        sent_at : float, optional
            By the server's clock, in whole seconds since 1970; None if it does not tell.
        """
        response = self._request("GET", path, timeouts_s=(CONNECT_TIMEOUT_S, LOOK_TIMEOUT_S))
        if not response.ok and (response.status_code not in also or not _problem_document(response)):
            raise _error_of(response)
        return _json_of(response), _sent_at(response)

    def pages(
        self, path: str, name: str, *, limit: int, params: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """Go through a list that comes in pages of at most `limit`; `name` is its key in each answer."""
        asked = {key: value for key, value in (params or {}).items() if value is not None}
        cursor = None
        while True:
            page = self.get(path, {**asked, "limit": limit, "cursor": cursor})
            yield from page[name]
            cursor = page["next"]
            if cursor is None:
                return

    def post(self, path: str, body: Any = None) -> Any:
        """Ask for a change that may be asked for again; all retries of one call carry one Idempotency-Key."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._retrying(lambda: self._call("POST", path, json=body, headers=headers))

    def post_at_most_once(self, path: str, body: Any = None) -> Any:
        """Ask for a change that would be another one the second time.

        Raises
        ------
        OutcomeUnknownError
            If it may have been made, but that was not answered.
        """

        def ask() -> Any:
            try:
                return self._call("POST", path, json=body)
            except (ServerUnreachableError, OutageError) as error:
                if _may_be_done(error):
                    raise OutcomeUnknownError(f"{error}. {_LOOK_FIRST}") from error
                raise

        return self._retrying(ask)

    def patch(self, path: str, body: Any) -> Any:
        """Change values of something that exists."""
        return self._retrying(lambda: self._call("PATCH", path, json=body))

    def delete(self, path: str) -> None:
        """Take something back; if that may have been done without an answer, not to find it is success."""
        may_be_done = False

        def ask() -> None:
            nonlocal may_be_done
            try:
                self._call("DELETE", path)
            except (ServerUnreachableError, OutageError) as error:
                may_be_done = may_be_done or _may_be_done(error)
                raise
            except NotFoundError:
                if not may_be_done:
                    raise

        self._retrying(ask)

    def send_file(self, source: Path, *, metadata: Mapping[str, Any]) -> Sent:
        """Send a file; what has arrived when a connection breaks is not sent again."""
        return self._retrying(
            lambda: send_file(self._respond, source, metadata=metadata, on_sent=lambda *_: None)
        )

    @contextlib.contextmanager
    def reading(
        self, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Iterator[Iterator[str]]:
        """Ask for events, to be read line by line while the block runs.

        Raises
        ------
        ServerUnreachableError
            Also in the middle, if the connection breaks.
        """
        asked = {"params": params, "headers": {**headers, "Accept": _EVENTS}, "stream": True}
        with contextlib.closing(self._retrying(lambda: self._respond("GET", path, **asked))) as response:
            if not response.headers.get("Content-Type", "").startswith(_EVENTS):
                what = f"{response.url} answered something that is no events; is this a HASTE server?"
                raise InvalidError([Problem("url", what)])
            yield self._lines(response)

    def _lines(self, response: requests.Response) -> Iterator[str]:
        try:
            # Byte by byte, so that none waits for those after it.
            for line in response.iter_lines(chunk_size=1):
                yield line.decode("utf-8", "replace")
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            reason = connection_trouble(error, timeouts_s=TIMEOUTS_S) + by_way_of(self._session, self.url)
            raise ServerUnreachableError(self.url, reason, was_connected=True) from error

    def _retrying(self, call: Callable[[], _Answer]) -> _Answer:
        for attempt in stamina.retry_context(
            on=self._wait_before_retry, attempts=None, timeout=self._patience_s, wait_max=2.0, wait_jitter=0.2
        ):
            with attempt:
                return call()
        raise AssertionError("stamina gives a result or raises")  # pragma: no cover

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return _json_of(self._respond(method, path, **arguments))

    def _respond(self, method: str, path: str, **arguments: Any) -> requests.Response:
        response = self._request(method, path, **arguments)
        if not response.ok:
            raise _error_of(response)
        return response

    def _request(
        self, method: str, path: str, *, timeouts_s: tuple[float, float] = TIMEOUTS_S, **arguments: Any
    ) -> requests.Response:
        try:
            response = self._session.request(method, self.url + path, timeout=timeouts_s, **arguments)
        except requests.exceptions.SSLError as error:
            raise CertificateError(self.url, certificate_trouble(error)) from error
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            reason = connection_trouble(error, timeouts_s=timeouts_s) + by_way_of(self._session, self.url)
            raise ServerUnreachableError(self.url, reason, was_connected=_was_connected(error)) from error
        except requests.RequestException as error:
            raise InvalidError([Problem("url", f"{self.url!r} is no server's address: {error}")]) from error
        self._has_answered = True
        return response

    @property
    def _patience_s(self) -> float:
        return self._retry_for_s if self._has_answered else min(self._retry_for_s, FIRST_ANSWER_S)

    def _wait_before_retry(self, error: Exception) -> bool | float:
        if isinstance(error, OutageError) and error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s < self._retry_for_s else False
        return isinstance(error, RETRIED)


def _json_of(response: requests.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except requests.exceptions.JSONDecodeError as error:
        what = f"{response.url} answered something that is not JSON; is this a HASTE server?"
        raise InvalidError([Problem("url", what)]) from error


def _sent_at(response: requests.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def _error_of(response: requests.Response) -> HasteError:
    """Read a problem document (RFC 9457) as the error that it stands for."""
    problem = _problem_document(response)
    detail = str(problem.get("detail") or problem.get("title") or _parts(problem) or response.reason)
    status = response.status_code
    if status in _TRANSIENT_STATUSES:
        return OutageError(detail, retry_after_s=_seconds(response.headers.get("Retry-After")))
    if status in (401, 403):
        return AccessDeniedError(_with_remedy(detail, status))
    if status == 404:
        return NotFoundError(detail)
    if status == 409:
        return ConflictError(detail)
    if 400 <= status < 500:
        return InvalidError(problems_of(problem) or [Problem("", detail)])
    return ServerError(f"{response.url}: {detail} (HTTP {status})")


def _with_remedy(detail: str, status: int) -> str:
    """Say what to do about a token, unless the server has said it."""
    told = f"{detail} (HTTP {status})"
    return told if "HASTE_TOKEN" in detail else f"{told}; set HASTE_TOKEN to a token that allows this"


def problems_of(document: Mapping[str, Any]) -> list[Problem]:
    """Read the problems that the server lists in a 400 answer."""
    return [
        Problem(str(entry.get("where", "")), str(entry.get("what", "")))
        for entry in document.get("problems", ())
    ]


def _problem_document(response: requests.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except requests.exceptions.JSONDecodeError:
        # A proxy's page: its status has to do.
        return {}
    return document if isinstance(document, Mapping) else {}


def _parts(document: Mapping[str, Any]) -> str:
    """Read the answer of /readyz, which names each part of the server and what ails it."""
    return "; ".join(f"{part}: {trouble}" for part, trouble in document.items() if trouble != "ok")


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        # Retry-After may be a date, too; then the usual back-off decides.
        return None


def _may_be_done(error: ServerUnreachableError | OutageError) -> bool:
    # An outage may begin after a commit; a proxy says 502 and 504 also when the server has been asked.
    return isinstance(error, OutageError) or error.was_connected


def _was_connected(error: requests.RequestException) -> bool:
    """Tell whether there was a connection to send the request on, as far as that can be told."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, ProxyError):
        cause = cause.original_error
    return not isinstance(cause, NewConnectionError | ConnectTimeoutError)

"""Sending files to a server: what its answers mean, what is tried again at once, and what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import requests

from haste_core.errors import PermanentError, TransientError
from haste_core.uploads import ChecksumMismatchError
from haste_runtime.sessions import by_way_of, certificate_trouble, connection_trouble, use_own_way
from haste_runtime.tus import Sent, send_file
from haste_workers.destination import Destination
from haste_workers.pacing import Hours, SharedPace
from haste_workers.web import session_for

HELD_S = 60.0  # longer than the server waits for a connection that has gone silent
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
HOURS_LOOK_S = 60.0  # the clock may be set meanwhile
REFUSED_PAUSE_S = 60.0  # somebody has to do something before it is worth asking again

_TIMEOUTS_S = (10.0, 120.0)  # to connect; for the server to write the file to disk and answer
_AWAY = frozenset({429, 502, 503, 504, 507})
_TRY_LATER = frozenset({408, 425})
_GO_ON = frozenset({404, 409, 410})  # the upload is not as it was: asked again, the server tells how it is
_REFUSED = frozenset({401, 403})
_HELD = 423
_OTHER_CONTENT = 460
_ASK_EVERY_S = 0.5

Note = Callable[[str], object]
Outcome = TypeVar("Outcome")


class AwayError(TransientError):
    """The server takes nothing now; with another file it would be the same.

    Attributes
    ----------
    pause_s : float
        How long to wait at least before it is asked again.
    """

    def __init__(self, message: str, *, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


class RefusedError(PermanentError):
    """The server lets nobody in with this token, or with none."""


class ClosedError(AwayError):
    """Nothing is sent at this hour."""


class _InterruptedError(AwayError):
    """The server has to be asked how far the upload is."""


class _HeldError(TransientError):
    """Somebody sends this upload: an attempt before, whose connection the server believes to be alive."""


def wait_for(work: Callable[[], Outcome], *, patience_s: float, note: Note) -> Outcome:
    """Do something at a server, and wait for the server where it is away or refuses the token.

    Parameters
    ----------
    work : callable
    patience_s : float
        For how long. 0: not at all, and a refusal is final.
    note : callable
        Is told what is waited for.

    Raises
    ------
    TransientError
        If it takes longer.
    """
    if patience_s <= 0:
        return work()
    gives_up_at = time.monotonic() + patience_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return work()
        except AwayError as error:
            away = error
        except RefusedError as error:
            what = f"{error}; start again with a token that it takes"
            away = AwayError(what, pause_s=REFUSED_PAUSE_S)
            away.__cause__ = error
        wait_s = max(pause_s, away.pause_s)
        if isinstance(away, ClosedError):
            gives_up_at = time.monotonic() + patience_s + wait_s
        if time.monotonic() + wait_s > gives_up_at:
            raise away
        note(str(away))
        time.sleep(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def unknown_tag(server: str, tag: str, known: Iterable[str]) -> str:
    """Say what to do about a tag that a server does not know."""
    return (
        f"{server} knows no tag {tag!r} (known: {', '.join(known) or 'none'}); whoever runs it can name a "
        "pipeline for it under `agent_tags:` in its settings"
    )


class Sender:
    """Sends files to one server.

    Parameters
    ----------
    destination : Destination
    on_sent : callable
        Is told how many of how many bytes the server has.
    pace_file : Path
        By which all senders of this computer that are to share `bytes_per_s` do so.
    """

    def __init__(
        self, destination: Destination, on_sent: Callable[[int, int], None], *, pace_file: Path
    ) -> None:
        self._destination = destination
        self._on_sent = on_sent
        speed = destination.bytes_per_s
        self._pace = None if speed is None else SharedPace(pace_file, speed)
        self._hours = None if destination.hours is None else Hours.parse(destination.hours)

    def join(self, stream_id: str, tag: str) -> None:
        """Make a stream with the pipeline that a tag stands for at the server, or join the one that is there.

        Raises
        ------
        AwayError
            Also where the server knows no such tag, or has the stream with another pipeline: whoever runs it
            can change that.
        """
        with self._connected() as call:
            offered = _json(call("GET", "/HASTE/pipelines/"))["pipelines"]
            pipelines = [item["name"] for item in offered if tag in item.get("tags", ())]
            if not pipelines:
                known = sorted(known for item in offered for known in item.get("tags", ()))
                raise AwayError(unknown_tag(self._destination.url, tag, known), pause_s=REFUSED_PAUSE_S)
            try:
                call("POST", "/HASTE/stream/", json={"stream_id": stream_id, "pipeline": pipelines[0]})
            except RefusedError:
                raise
            except PermanentError as error:  # it would be the same with each file
                raise AwayError(str(error), pause_s=REFUSED_PAUSE_S) from error

    def send(self, path: Path, said: Mapping[str, Any]) -> Sent:
        """Send a file, and go on after each interruption as long as it is farther than at the last one.

        Raises
        ------
        ClosedError
            If it is not the hour, or no more while it is sent: then it goes on from there later.
        """
        self._check_hour()
        gives_up_at = time.monotonic() + HELD_S
        begun_at = -1
        while True:
            began = _Beginning(self._sent)
            try:
                with self._connected() as call:
                    begins_at = time.monotonic()
                    sent = send_file(call, path, metadata=said, on_sent=began)
                    return replace(sent, duration_s=time.monotonic() - begins_at)
            except _HeldError:
                if time.monotonic() > gives_up_at:
                    raise
                time.sleep(_ASK_EVERY_S)
            except _InterruptedError:
                if began.at <= begun_at:
                    raise
                begun_at = began.at

    def _sent(self, sent_bytes: int, size_bytes: int, *, news: int) -> None:
        self._on_sent(sent_bytes, size_bytes)
        if news:
            self._check_hour()
        if news and self._pace is not None:
            self._pace.wait_for(news)

    def _check_hour(self) -> None:
        opens_in_s = 0.0 if self._hours is None else self._hours.opens_in_s(datetime.now())
        if opens_in_s > 0:
            raise ClosedError(
                f"nothing is sent before the hours {self._hours} begin", pause_s=min(opens_in_s, HOURS_LOOK_S)
            )

    @contextmanager
    def _connected(self) -> Iterator[Callable[..., requests.Response]]:
        destination = self._destination
        with session_for(destination.url) as session:
            if destination.token is not None:
                session.headers["Authorization"] = f"Bearer {destination.token.get_secret_value()}"
            use_own_way(session, destination.url, ca_file=destination.ca_file, proxy=destination.proxy)

            def call(method: str, path: str, **options: Any) -> requests.Response:
                return _call(session, destination.url, method, path, **options)

            yield call


class _SentBytes(Protocol):
    def __call__(self, sent_bytes: int, size_bytes: int, *, news: int) -> None:
        """Hear how many of how many bytes are sent, and how many of them just now."""


class _Beginning:
    """Hears how many bytes are sent, and remembers how many the server had; -1 before it was asked."""

    def __init__(self, on_sent: _SentBytes) -> None:
        self.at = -1
        self._sent_bytes = 0
        self._on_sent = on_sent

    def __call__(self, sent_bytes: int, size_bytes: int) -> None:
        if self.at < 0:
            self.at = self._sent_bytes = sent_bytes
        news, self._sent_bytes = sent_bytes - self._sent_bytes, sent_bytes
        self._on_sent(sent_bytes, size_bytes, news=news)


def _call(
    session: requests.Session, server: str, method: str, path: str, **options: Any
) -> requests.Response:
    try:
        answer = session.request(
            method, f"{server}{path}", timeout=_TIMEOUTS_S, allow_redirects=False, **options
        )
    except requests.exceptions.SSLError as error:
        raise AwayError(
            f"the certificate of {server} cannot be trusted: {certificate_trouble(error)}",
            pause_s=REFUSED_PAUSE_S,
        ) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        why = connection_trouble(error, timeouts_s=_TIMEOUTS_S) + by_way_of(session, server)
        raise _InterruptedError(f"the server {server} cannot be reached now: {why}") from error
    except requests.RequestException as error:
        raise _InterruptedError(f"the answer of {server} broke off: {error}") from error
    _check(answer, method)
    return answer


def _check(answer: requests.Response, method: str) -> None:
    """Refuse an answer that is no success, by the error that it means."""
    status = answer.status_code
    if status in (200, 201, 204):
        return
    now, ever = (
        f"the server {verb}: {_detail(answer)}" for verb in ("cannot take the file now", "refused the file")
    )
    if status == _HELD:
        raise _HeldError(now)
    if method == "PATCH" and status in _GO_ON:
        raise _InterruptedError(now)
    if status in _AWAY:
        raise AwayError(now)
    if status in _TRY_LATER or status >= 500:
        raise TransientError(now)
    if status == _OTHER_CONTENT:
        raise ChecksumMismatchError(ever)
    raise (RefusedError if status in _REFUSED else PermanentError)(ever)


def _detail(answer: requests.Response) -> str:
    """Read what the server says, in a problem document or in its status line."""
    detail = ""
    with suppress(ValueError, AttributeError):  # no JSON, or no object
        detail = str(answer.json().get("detail") or "")
    return f"{answer.status_code} {detail or answer.reason}"


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise PermanentError(f"{answer.url} does not answer like a HASTE server") from error

"""Requests over HTTP: which URL is really asked, by which way, and what an answer means."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from haste_core.errors import (
    HasteError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_runtime.loopback import host_of, is_this_machine

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0  # between two pieces
CHUNK_BYTES = 1 << 20
UNTOLD_END = (
    "{}: its server tells neither the file's size nor its end (Content-Length, or chunks), "
    "so that a file cut short would pass for a whole one"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file on its way from a server.

    Attributes
    ----------
    size_bytes : int, optional
        As the server tells it beforehand.
    chunks : iterator of bytes
        Fails if the connection is cut before the end.
    """

    size_bytes: int | None
    chunks: Iterator[bytes]


def asked_url(url: str) -> str:
    r"""Return the URL that is sent on the way for this one.

    Parsers disagree on odd URLs: some read the host of ``http://a\@b/`` as ``b``, and requests asks ``a``.
    So what is checked must be what is asked.

    Raises
    ------
    requests.RequestException
        If it is no URL that can be asked.
    """
    return str(requests.Request("GET", url).prepare().url)


def session_for(asked: str) -> requests.Session:
    """Open a session that goes through the proxy of the environment, unless the host is this machine."""
    session = requests.Session()
    session.trust_env = not is_this_machine(asked)
    return session


def failure_of(status: int) -> type[HasteError]:
    """Tell which error a server means by an HTTP status that is no success."""
    if status in (401, 403):
        return SourceDeniedError
    if status in (404, 410):
        return SourceMissingError
    if status == 429 or status >= 500:
        return TransientError
    return PermanentError


@contextmanager
def web_file(url: str, hosts: Collection[str] | None) -> Iterator[RemoteFile]:
    """Open an ``http(s)://`` source.

    Parameters
    ----------
    url : str
    hosts : collection of str, optional
        Those that may be asked; None: any. Redirects are not followed, since they could lead elsewhere.

    Raises
    ------
    SourceDeniedError, SourceMissingError, TransientError, PermanentError
        Also while it is read.
    """
    asked = _allowed_url(url, hosts)
    try:
        with (
            session_for(asked) as session,
            session.get(
                asked,
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
                headers={"Accept-Encoding": "identity"},
            ) as answer,
        ):
            _refuse_bad_status(url, answer)
            _refuse_packed(url, answer)
            yield RemoteFile(_told_size_bytes(url, answer), answer.iter_content(CHUNK_BYTES))
    except requests.RequestException as error:
        raise TransientError(f"{url} cannot be fetched now: {error}") from error


def _allowed_url(url: str, hosts: Collection[str] | None) -> str:
    try:
        asked = asked_url(url)
    except requests.RequestException as error:
        raise SourceDeniedError(f"{url} cannot be downloaded: {error}") from error
    if hosts is not None and host_of(asked) not in hosts:
        raise SourceDeniedError(
            f"{url}: nothing may be downloaded from {host_of(asked)!r} here; "
            "to allow it, name it under `http_hosts:` in the worker's settings"
        )
    return asked


def _refuse_bad_status(url: str, answer: requests.Response) -> None:
    if answer.status_code == 200:
        return
    said = f"{url}: its server says {answer.status_code} {answer.reason}"
    if answer.is_redirect:
        # Without the query, which may hold a key.
        elsewhere = answer.headers["Location"].partition("?")[0]
        said += f" and points to {elsewhere}; redirects are not followed: give the file's own URL"
    raise failure_of(answer.status_code)(said)


def _refuse_packed(url: str, answer: requests.Response) -> None:
    """Refuse a body that is packed on the way: what is missing at its end would go unnoticed."""
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise PermanentError(
            f"{url}: its server packs the file on the way (Content-Encoding: {encoding}), unasked; "
            "have it send the file as it is"
        )


def _told_size_bytes(url: str, answer: requests.Response) -> int | None:
    size_bytes: int | None = answer.raw.length_remaining
    if size_bytes is None and not answer.raw.chunked:
        raise PermanentError(UNTOLD_END.format(url))
    return size_bytes

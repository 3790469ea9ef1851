"""Keeping foreign web pages out: the browser that shows one runs where the server may be asked from."""

from __future__ import annotations

from functools import lru_cache

from flask import Request

from haste_runtime.loopback import is_this_machine
from haste_server.api.problem_codes import ProblemCode, RefusedError

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_OWN_PAGES = frozenset({"same-origin", "none"})  # none: the user asked, by a bookmark or an extension
_SHOWN_CHARACTERS = 100


def check_host(request: Request) -> None:
    """Refuse a request that was sent to another name than this machine's own.

    For a server without a token. A foreign site may have its name lead to 127.0.0.1 (DNS rebinding); the
    browser then takes the server for that site, and lets its pages read and change everything.

    Raises
    ------
    RefusedError
    """
    host = request.headers.get("Host")
    if host is not None and not _is_loopback(host):  # every browser names the host
        raise RefusedError(
            ProblemCode.WRONG_HOST,
            "this server has no token, so it answers only at this machine's own names, not at "
            f"{host[:_SHOWN_CHARACTERS]!r}: use 127.0.0.1 or localhost in the address; or give the server a "
            "token (--token-file), and clients the same (HASTE_TOKEN)",
        )


def check_origin(request: Request) -> None:
    """Refuse a change that a web page of another origin asks for; programs that are no browser name none.

    Raises
    ------
    RefusedError
    """
    if request.method not in READING and not _is_own(request):
        sender = request.headers.get("Origin", "another site")[:_SHOWN_CHARACTERS]
        raise RefusedError(
            ProblemCode.FOREIGN_PAGE,
            f"a web page of {sender} asked for a change, which only this server's own pages may do: ask with "
            "haste or another program instead; if it was the server's own page behind a proxy, have the "
            "proxy hand on the Host header",
        )


def _is_own(request: Request) -> bool:
    # Pages can set neither header. Where both are missing, no browser asks.
    fetched_from = request.headers.get("Sec-Fetch-Site")
    if fetched_from is not None:
        return fetched_from in _OWN_PAGES
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    _, _, origin_host = origin.partition("://")  # a proxy in front of the server may change the scheme
    return origin_host == request.headers.get("Host")


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return is_this_machine(f"http://{host}")

"""HTTP sessions that go another way than the environment says."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.util import parse_url

_KNOWN_TROUBLE = (
    "Connection refused",
    "Name or service not known",
    "Connection reset",
    "Remote end closed connection",
    "getaddrinfo failed",
)


def use_own_way(session: requests.Session, url: str, *, ca_file: Path | None, proxy: str | None) -> None:
    """Have a session trust other authorities, and ask by way of a proxy; None: as the environment says."""
    if ca_file is None and proxy is None:
        return
    heeded = os.environ if session.trust_env else {}
    bundle = heeded.get("REQUESTS_CA_BUNDLE") or heeded.get("CURL_CA_BUNDLE") or True
    session.verify = bundle if ca_file is None else str(ca_file)
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    elif session.trust_env:
        session.proxies = get_environ_proxies(url)
    session.trust_env = False  # it would go before what is said here


def by_way_of(session: requests.Session, url: str) -> str:
    """Name the proxy that a session asks, if any: its address is what the user may have to change."""
    given = select_proxy(url, session.proxies)
    proxy = given or (select_proxy(url, get_environ_proxies(url)) if session.trust_env else None)
    if not proxy:
        return ""
    shown = parse_url(proxy)._replace(auth=None).url  # without its password
    direct = "" if given else "; add the server to NO_PROXY to ask it directly"
    return f" (asked through the proxy {shown}{direct})"


def certificate_trouble(error: BaseException) -> str:
    """Find the sentence in a nest of errors that says what is wrong with a certificate."""
    seen: BaseException | object | None = error
    while isinstance(seen, BaseException):
        if isinstance(seen, ssl.SSLCertVerificationError):
            return str(seen.verify_message)
        nested = [getattr(seen, "reason", None), *seen.args, seen.__cause__, seen.__context__]
        seen = next((inner for inner in nested if isinstance(inner, BaseException)), None)
    return str(error)


def connection_trouble(error: Exception, *, timeouts_s: tuple[float, float]) -> str:
    """Say shortly why there was no answer.

    Parameters
    ----------
    error : Exception
        Of requests.
    timeouts_s : tuple of float
        How long a connection, and an answer, were waited for.
    """
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeouts_s[0]:g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeouts_s[1]:g} s"
    text = str(error)
    return next((known.lower() for known in _KNOWN_TROUBLE if known in text), text)

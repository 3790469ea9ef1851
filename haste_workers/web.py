"""Requests over HTTP: which host a URL really means, and when a proxy is used."""

from __future__ import annotations

import ipaddress

import requests
from urllib3.util import parse_url


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


def host_of(asked: str) -> str:
    """Find the host of what `asked_url` returned: lower case, IPv6 addresses without their brackets."""
    return (parse_url(asked).host or "").strip("[]")


def session_for(asked: str) -> requests.Session:
    """Open a session that goes through the proxy of the environment, unless the host is this machine.

    A lab's ``HTTP_PROXY`` is set for the world outside; the proxy's own ``127.0.0.1`` is another machine.
    """
    session = requests.Session()
    session.trust_env = not _is_this_machine(host_of(asked))
    return session


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")

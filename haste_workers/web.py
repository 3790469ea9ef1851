"""Requests over HTTP: which URL is really asked, and by which way."""

from __future__ import annotations

import requests

from haste_runtime.loopback import is_this_machine


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

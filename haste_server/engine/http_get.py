"""How the evaluator's child asks services."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from haste_core.asking import MAX_ANSWER_BYTES, HttpAnswer, SilenceError

if TYPE_CHECKING:
    import requests


def http_get(url: str, timeout_s: float) -> HttpAnswer:
    """Fetch a URL, without following it elsewhere; see `haste_core.asking.Get`.

    Proxies and passwords that the environment or a ``.netrc`` offers are not used.
    """
    import requests
    import urllib3.exceptions

    where = url.partition("?")[0]
    try:
        with _session().get(url, timeout=timeout_s, stream=True, allow_redirects=False) as response:
            body = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=True)
            return HttpAnswer(response.status_code, body)
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise SilenceError(f"{where} did not answer within {timeout_s:g} s") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise SilenceError(f"{where} cannot be asked: {error}") from error


@cache
def _session() -> requests.Session:
    import requests  # loaded where a pipeline needs it: it takes a child twice its time to start

    session = requests.Session()
    session.trust_env = False
    return session

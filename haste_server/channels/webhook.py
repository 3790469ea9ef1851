"""Alerts to a web address."""

from __future__ import annotations

import hashlib

import requests
from urllib3.util import parse_url

from haste_core.alert_stores import AlertRecord
from haste_core.errors import TransientError
from haste_runtime.loopback import is_this_machine
from haste_server.channels.settings import WebhookSettings

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0


class Webhook:
    """Posts alerts as JSON; any answer of 2xx is a receipt.

    Parameters
    ----------
    settings : WebhookSettings

    Attributes
    ----------
    name : str
        With the host and a mark of the whole address, which itself may be a secret.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = settings.url.get_secret_value()
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        mark = hashlib.sha256(self._url.encode()).hexdigest()[:8]
        self._host = parse_url(self._url).host or ""
        self.name = f"webhook {self._host[:150]} {mark}"

    def send(self, alert: AlertRecord) -> str:
        """Send an alert.

        Returns
        -------
        str
            What was odd about it; nothing here.

        Raises
        ------
        TransientError
            If it was not taken, with the reason and without secrets.
        """
        headers = {**self._headers, "Webhook-Id": alert.event_id}
        limits = (CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)
        try:
            with requests.Session() as session:
                session.trust_env = not is_this_machine(self._url)
                # Headers with keys in them go nowhere else; nobody needs the answer's body.
                with session.post(
                    self._url,
                    json=_body(alert),
                    headers=headers,
                    timeout=limits,
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    status, reason = answer.status_code, answer.reason
        except requests.RequestException as error:
            raise TransientError(f"{self._host}: {_reason(error)}") from error
        if not 200 <= status < 300:
            raise TransientError(f"{self._host} answered {status} {reason}; look at the address and its log")
        return ""


def _body(alert: AlertRecord) -> dict[str, object]:
    return {
        "id": alert.event_id,
        "alert_id": alert.alert_id,
        "stream_id": alert.stream_id,
        "rule": alert.rule,
        "raised_at": alert.raised_at,
        "message": alert.message,
        "details": dict(alert.details),
        "text": f"{alert.stream_id}: {alert.message}",
    }


def _reason(error: requests.RequestException) -> str:
    """Say it without the address, which the libraries' own words hold."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not one that this machine trusts"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {ANSWER_TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this machine cannot be reached or refuses"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke"
    return f"the address cannot be used ({type(error).__name__})"

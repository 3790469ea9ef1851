"""Empty virtual hosts of a RabbitMQ broker, one for each test."""

import secrets
from urllib.parse import unquote, urlsplit

import requests

DEFAULT_MANAGEMENT_PORT = 15_672
_REQUEST_TIMEOUT_S = 10.0


class VirtualHosts:
    """Makes and removes virtual hosts through the broker's management plugin.

    It answers in milliseconds, where ``rabbitmqctl`` takes seconds.

    Parameters
    ----------
    broker_url
        AMQP URL of an account with the tag *administrator*; its virtual host does not matter.
    management_port
        Port of the management plugin on the broker's host.
    """

    def __init__(self, broker_url: str, *, management_port: int = DEFAULT_MANAGEMENT_PORT) -> None:
        parts = urlsplit(broker_url)
        self._broker = f"{parts.scheme}://{parts.netloc}"
        self._account = (unquote(parts.username or "guest"), unquote(parts.password or "guest"))
        self._api = f"http://{parts.hostname}:{management_port}/api/vhosts"

    def create(self) -> str:
        """Create an empty virtual host and return its AMQP URL.

        Raises
        ------
        requests.RequestException
            If the management plugin does not answer, or refuses.
        """
        name = f"haste-{secrets.token_hex(8)}"
        # The account that creates a virtual host gets all permissions on it.
        self._request("PUT", name).raise_for_status()
        return f"{self._broker}/{name}"

    def check(self) -> None:
        """Raise requests.RequestException unless the management plugin answers, and takes the account."""
        self._request("GET", "%2F").raise_for_status()

    def delete(self, url: str) -> None:
        """Remove a virtual host with its queues and connections; one that is gone stays gone."""
        response = self._request("DELETE", url.rpartition("/")[2])
        if response.status_code != requests.codes.not_found:
            response.raise_for_status()

    def _request(self, method: str, name: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # A proxy of the machine's would not find our loopback port.
            return session.request(
                method, f"{self._api}/{name}", auth=self._account, timeout=_REQUEST_TIMEOUT_S
            )

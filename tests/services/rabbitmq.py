"""RabbitMQ for tests: a private broker, or the virtual host that a URL names."""

import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

import pika
import pika.exceptions
import requests

from tests.services.process import ServiceProcess, free_port
from tests.services.programs import find_program

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_REQUEST_TIMEOUT_S = 10.0
_USER = "haste"
_BASE_ENVIRON = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C.UTF-8"}


class GivenRabbitMQ:
    """A virtual host on a broker that runs elsewhere and is not ours to stop.

    All tests share the one virtual host: two runs on it at once would disturb each other.

    Parameters
    ----------
    url
        AMQP URL, with the virtual host.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def new_vhost(self) -> str:
        """Return the URL that was given."""
        return self.url

    def delete_vhost(self, url: str) -> None:
        """Leave the virtual host where it is."""


class RabbitMQ:
    """A private RabbitMQ broker with its own ports, epmd, account and data, in `folder`.

    It has the management plugin, because that makes a virtual host in milliseconds, where
    ``rabbitmqctl`` takes seconds.

    Parameters
    ----------
    folder
        Folder for the data, the configuration and the logs; made if missing.

    Examples
    --------
    >>> with RabbitMQ(tmp_path / "rabbitmq") as broker:  # doctest: +SKIP
    ...     connection = pika.BlockingConnection(pika.URLParameters(broker.new_vhost()))
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._management_port = free_port()
        self._distribution_port = free_port()
        self._epmd_port = free_port()
        self._password = secrets.token_hex(16)
        self._epmd: ServiceProcess | None = None
        self._process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        """AMQP URL of the default virtual host."""
        return self._url_of("%2F")

    @property
    def management_url(self) -> str:
        """HTTP URL of the management plugin, with the account."""
        return f"http://{_USER}:{self._password}@127.0.0.1:{self._management_port}"

    def start(self) -> None:
        """Start the broker on its ports and data folder; return when it answers.

        Raises
        ------
        ServiceError
            If it does not start; the message has the end of its log.
        """
        if not self._folder.exists():
            self._configure()
        if self._epmd is None:
            self._epmd = self._start_epmd()
        process = ServiceProcess(
            [find_program("rabbitmq-server")],
            log=self._folder / "rabbitmq.log",
            environ=self._environ(),
        )
        process.wait_until(self._answers, timeout_s=_START_TIMEOUT_S)
        self._process = process

    def stop(self) -> None:
        """Shut the broker down, and its epmd; nothing happens if it is not running."""
        if self._process is not None:
            self._process.stop(timeout_s=_STOP_TIMEOUT_S)
            self._process = None
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd = None

    def kill(self) -> None:
        """Kill the broker with SIGKILL; nothing happens if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        """Stop the broker if it still runs, and start it again with the same ports and data."""
        self.stop()
        self.start()

    def new_vhost(self) -> str:
        """Create an empty virtual host and return its AMQP URL."""
        name = f"haste-{secrets.token_hex(8)}"
        # The account that creates a virtual host gets all permissions on it.
        self._manage("PUT", f"vhosts/{name}")
        return self._url_of(name)

    def delete_vhost(self, url: str) -> None:
        """Remove a virtual host that `new_vhost` made, with its queues and connections."""
        self._manage("DELETE", f"vhosts/{url.rpartition('/')[2]}")

    def _manage(self, method: str, path: str) -> None:
        response = requests.request(
            method, f"{self.management_url}/api/{path}", timeout=_REQUEST_TIMEOUT_S
        )
        response.raise_for_status()

    def _url_of(self, vhost: str) -> str:
        return f"amqp://{_USER}:{self._password}@127.0.0.1:{self._port}/{vhost}"

    def _configure(self) -> None:
        self._folder.mkdir(parents=True)
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self._port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self._management_port}\n"
            # Nobody reads the statistics, and gathering them costs CPU all the time.
            "management_agent.disable_metrics_collector = true\n"
            f"default_user = {_USER}\n"
            f"default_pass = {self._password}\n"
            # A nearly full disk would block every publisher, and a test would wait for ever.
            "disk_free_limit.absolute = 1MB\n"
        )

    def _start_epmd(self) -> ServiceProcess:
        # Erlang's port mapper. Without one of its own, the broker would start a daemon that
        # outlives it, or would use the machine's.
        process = ServiceProcess(
            [find_program("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            log=self._folder / "epmd.log",
            environ=_BASE_ENVIRON,
        )
        return process

    def _environ(self) -> dict[str, str]:
        folder = self._folder
        return {
            **_BASE_ENVIRON,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"haste{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            # The machine's own configuration in /etc/rabbitmq must not leak in.
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            # No scheduler spins while idle, and other nodes are heard on loopback only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none"
                " -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # Makes the start script exec the broker, so that its process id is the broker's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _answers(self) -> bool:
        try:
            connection = pika.BlockingConnection(pika.URLParameters(self.url))
        except pika.exceptions.AMQPError:
            return False
        connection.close()
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

"""A private RabbitMQ broker for tests."""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pika
import pika.exceptions

from tests.services.process import ServiceError, ServiceProcess, base_environ, free_port
from tests.services.programs import find_program
from tests.services.vhosts import VirtualHosts

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_USER = "haste"
_CONFIGURATION = "rabbitmq.conf"


class RabbitMQ:
    """A private RabbitMQ broker with its own ports, epmd, account and data, in `folder`.

    Parameters
    ----------
    folder
        Folder for the data, the configuration and the logs; made if missing.
    settings
        More variables of the Erlang application ``rabbit``, also those that no configuration file knows,
        for example ``{"channel_tick_interval": 1000}``; text is an Erlang term.

    Attributes
    ----------
    vhosts
        Its virtual hosts.

    Examples
    --------
    >>> with RabbitMQ(tmp_path / "rabbitmq") as broker:  # doctest: +SKIP
    ...     connection = pika.BlockingConnection(pika.URLParameters(broker.new_vhost()))
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, int | str] | None = None) -> None:
        self._folder = folder
        self._settings = dict(settings or {})
        self._port = free_port()
        self._management_port = free_port()
        self._distribution_port = free_port()
        self._epmd_port = free_port()
        self._password = secrets.token_hex(16)
        self.vhosts = VirtualHosts(self.url, management_port=self._management_port)
        self._epmd: ServiceProcess | None = None
        self._process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        """AMQP URL of the default virtual host."""
        return f"amqp://{_USER}:{self._password}@127.0.0.1:{self._port}/%2F"

    @property
    def management_url(self) -> str:
        """HTTP URL of the management plugin, with the account."""
        return f"http://{_USER}:{self._password}@127.0.0.1:{self._management_port}"

    def new_vhost(self) -> str:
        """Create an empty virtual host and return its AMQP URL."""
        return self.vhosts.create()

    def delete_vhost(self, url: str) -> None:
        """Remove a virtual host that `new_vhost` made, with its queues and connections."""
        self.vhosts.delete(url)

    def start(self) -> None:
        """Start the broker on its ports and data folder; return when it answers.

        Raises
        ------
        ServiceError
            If it does not start; the message has the end of its log.
        """
        if not (self._folder / _CONFIGURATION).exists():
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

    def erase(self) -> None:
        """Remove all data of a broker that is not running: its next start is a new broker's."""
        if self._process is not None:
            raise ServiceError("Kill or stop the broker before erasing its data.")
        shutil.rmtree(self._folder / "data")

    def restart(self) -> None:
        """Stop the broker if it still runs, and start it again with the same ports and data."""
        self.stop()
        self.start()

    def _configure(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        # A bare container may have no /etc/hosts.
        (self._folder / "inetrc").write_text(
            '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n'
        )
        (self._folder / _CONFIGURATION).write_text(
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
        return ServiceProcess(
            [find_program("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            log=self._folder / "epmd.log",
            environ=base_environ(),
        )

    def _environ(self) -> dict[str, str]:
        folder = self._folder
        return {
            **base_environ(),
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_INETRC": str(folder / "inetrc"),
            "RABBITMQ_NODENAME": f"haste{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(folder / _CONFIGURATION),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            # The machine's own configuration in /etc/rabbitmq must not leak in.
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            # No scheduler spins while idle, and other nodes are heard on loopback only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
                + "".join(f" -rabbit {name} {value}" for name, value in self._settings.items())
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
        # A graceful stop takes six seconds, and the data are not needed any more.
        self.kill()
        self.stop()

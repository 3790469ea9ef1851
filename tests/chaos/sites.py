"""Whole systems in both shapes, and what can be done to them."""

from __future__ import annotations

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

import requests
import sqlalchemy as sa
from sqlalchemy import make_url

from tests.chaos.handlers import HANDLER, KEYS
from tests.chaos.load import PIPELINE
from tests.chaos.programs import Program, kill
from tests.e2e.server_process import parent_of, server_command, worker_command
from tests.integration.tcp_proxy import TcpProxy
from tests.services.mariadb import MariaDB
from tests.services.process import free_port
from tests.services.rabbitmq import RabbitMQ
from tests.tables import make_tables
from tests.waiting import wait_for

LEASE_S = 3.0
SLOTS = 3  # of each worker
FILLING_S = 8.0  # others free a little all the time, so the very last page is never taken
EVALUATOR = "haste_server.engine.evaluation"
_FIRST_DECISION_S = 5.0  # a new engine starts its evaluator when there is something to decide
_SPARED_S = 4.0  # two deaths over one object would refuse it
_ACCOUNT, _PASSWORD = "haste_app", "not a secret"
# All tables in one file that may not grow beyond this: when it is full, MariaDB says what it says when its
# disk is. (To fill a real one would take rights that a test should not need.)
_SMALL_DISK = (
    "--innodb-file-per-table=0",
    "--innodb-autoextend-increment=1",
    "--innodb-data-file-path=ibdata1:12M:autoextend:max:64M",
)

Strike = Callable[[random.Random], None]


class Site(ABC):
    """What both shapes have in common.

    Attributes
    ----------
    folder : Path
    cleanup : ExitStack
        Ends everything, however the test ends.
    programs : dict of Program
        By name.
    database_url : str
        For those who look, past all that may be in the way of the programs.
    jobs_per_s : float
        A load that it can carry when nothing is wrong.
    """

    jobs_per_s = 12.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cleanup = ExitStack()
        self.programs: dict[str, Program] = {}
        self.urls: list[str] = []
        self.database_url = ""
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup.close()

    @abstractmethod
    def _open(self) -> None:
        """Start everything."""

    @abstractmethod
    def victims(self) -> Mapping[str, Strike]:
        """Name who can be killed; each strike returns when the victim is back, or will come by itself."""

    def disturbances(self) -> Mapping[str, Strike]:
        """Name what else can happen; each returns when it is over."""
        return {}

    @abstractmethod
    def processes(self) -> Iterator[tuple[str, int]]:
        """List the living processes with their roles."""

    def wait_until_ready(self) -> None:
        """Wait until all servers are ready and know of workers."""
        for url in self.urls:
            wait_for(partial(_is_ready, url))

    def stop_programs(self) -> None:
        """Let all programs end in good order, workers first; what is not in order becomes a fault."""
        for name in sorted(self.programs, reverse=True):
            self.faults += self.programs[name].stop()

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> Program:
        program = Program(command, self.folder / f"{name}.log", environment)
        self.programs[name] = program
        self.cleanup.callback(program.kill_for_good)
        return program

    def _rules(self) -> dict[str, str]:
        pipelines = self.folder / "pipelines"
        pipelines.mkdir(exist_ok=True)
        (pipelines / "pipeline.yaml").write_text(json.dumps(PIPELINE))
        return {
            "HASTE_OPEN_ON_LOOPBACK": "true",
            "HASTE_PIPELINES_DIR": str(pipelines),
            "HASTE_DEFAULT_PIPELINE": str(PIPELINE["name"]),
            "HASTE_LEASE_S": str(LEASE_S),
            "HASTE_HEARTBEAT_S": str(LEASE_S / 6),
            "HASTE_RETRY_DELAY_S": "0.2",
            "HASTE_MAX_ATTEMPTS": "6",
            "HASTE_LOG_FORMAT": "json",
        }


class Embedded(Site):
    """One server with SQLite and its own workers."""

    jobs_per_s = 4.0

    def _open(self) -> None:
        data, port = self.folder / "data", free_port()
        data.mkdir()
        command = server_command("--data-dir", data, "--port", port, "--workers", SLOTS)
        handlers = {"HASTE_HANDLERS": json.dumps(dict.fromkeys(KEYS, HANDLER))}
        self._run("server", command, self._rules() | handlers)
        self.urls = [f"http://127.0.0.1:{port}"]
        self.database_url = f"sqlite:///{data / 'haste.sqlite3'}"
        self.wait_until_ready()

    def victims(self) -> Mapping[str, Strike]:
        server = self.programs["server"]
        return {
            "server": lambda _: server.kill(),
            "worker": lambda rng: _kill_one(server.pids("haste_workers.cli"), rng),
            "child": lambda rng: _kill_one(server.pids("haste-child"), rng),
            "template": lambda rng: _kill_one(server.pids("haste-template"), rng),
            "evaluator": lambda rng: _kill_evaluator(lambda: server.pids(EVALUATOR), rng),
        }

    def processes(self) -> Iterator[tuple[str, int]]:
        server = self.programs["server"]
        yield "server", server.pid
        for role, words in (
            ("worker", "haste_workers.cli"),
            ("child", "haste-child"),
            ("template", "haste-template"),
            ("evaluator", EVALUATOR),
        ):
            yield from ((role, pid) for pid in server.pids(words))


class Distributed(Site):
    """RabbitMQ, MariaDB, servers and workers, with proxies between.

    Parameters
    ----------
    servers, workers : int
    rabbitmq : RabbitMQ, optional
    mariadb : MariaDB, optional
        Services that run and will go on; None: one for this site alone.
    amqp_heartbeat_s : int, optional
        How soon RabbitMQ and its clients notice that the other has vanished; None: the programs' own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 1,
        workers: int = 2,
        rabbitmq: RabbitMQ | None = None,
        mariadb: MariaDB | None = None,
        amqp_heartbeat_s: int | None = None,
    ) -> None:
        super().__init__(folder)
        self._server_count, self._worker_count = servers, workers
        self._broker_options = "" if amqp_heartbeat_s is None else f"?heartbeat={amqp_heartbeat_s}"
        self.rabbitmq = rabbitmq or RabbitMQ(folder / "rabbitmq")
        self.mariadb = mariadb or MariaDB(folder / "mariadb", options=_SMALL_DISK)
        self._shared = (rabbitmq, mariadb)
        self.broker_url = ""
        self.links: dict[str, TcpProxy] = {}
        self._services = threading.Lock()

    def _open(self) -> None:
        self._open_services()
        owned_url = self._limited_account()
        make_tables(owned_url)
        for number in range(self._server_count):
            self._run_server(number, owned_url)
        for number in range(self._worker_count):
            self.run_worker(number)
        self.wait_until_ready()

    def _open_services(self) -> None:
        for service in (self.rabbitmq, self.mariadb):
            if service not in self._shared:
                self.cleanup.callback(service.stop)
                self.cleanup.callback(service.kill)
                service.start()
        self.broker_url, self.database_url = self.rabbitmq.url, self.mariadb.new_database()
        if self.rabbitmq in self._shared:
            self.broker_url = self.rabbitmq.new_vhost()
            self.cleanup.callback(self.rabbitmq.delete_vhost, self.broker_url)
        if self.mariadb in self._shared:
            self.cleanup.callback(self.mariadb.drop_database, self.database_url)

    def _limited_account(self) -> str:
        """Make the servers' account, which has no rights beyond its database, and so heeds read_only."""
        url = make_url(self.database_url)
        for statement in (
            f"CREATE USER IF NOT EXISTS '{_ACCOUNT}'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'",
            f"GRANT ALL ON `{url.database}`.* TO '{_ACCOUNT}'@'127.0.0.1'",
        ):
            self.execute(statement)
        return url.set(username=_ACCOUNT, password=_PASSWORD).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Have MariaDB do something, in the servers' database."""
        engine = sa.create_engine(self.database_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(statement))

    def _run_server(self, number: int, database_url: str) -> None:
        data, port = self.folder / f"data{number}", free_port()
        data.mkdir()
        name = f"server{number}"
        environment = self._rules() | {
            "HASTE_DATABASE_URL": self._by_way_of(f"{name} to MariaDB", database_url),
            "HASTE_BROKER_URL": self._by_way_of(
                f"{name} to RabbitMQ", self.broker_url + self._broker_options
            ),
            "HASTE_THREADS": "16",
            "HASTE_MAX_UPLOADS": "4",
        }
        self._run(name, server_command("--data-dir", data, "--port", port), environment)
        self.urls.append(f"http://127.0.0.1:{port}")

    def run_worker(self, number: int, *, slots: int = SLOTS) -> Program:
        """Start a worker."""
        name = f"worker{number}"
        handlers = [option for key in KEYS for option in ("--handler", f"{key}={HANDLER}")]
        command = worker_command(*handlers, "--keys", ",".join(KEYS), "--concurrency", slots)
        environment = {
            "HASTE_BROKER_URL": self._by_way_of(
                f"{name} to RabbitMQ", self.broker_url + self._broker_options
            ),
            "HASTE_WORK_DIR": str(self.folder / name),
            "HASTE_HEARTBEAT_S": str(LEASE_S / 6),
        }
        return self._run(name, command, environment)

    def _by_way_of(self, name: str, url: str) -> str:
        port = make_url(url).port
        assert port is not None
        proxy = TcpProxy(port)
        self.cleanup.callback(proxy.close)
        self.links[name] = proxy
        return url.replace(f":{port}/", f":{proxy.port}/")

    def victims(self) -> Mapping[str, Strike]:
        return {
            "engine": lambda rng: _kill_one(self._server_pids(" engine --parent "), rng),
            "evaluator": lambda rng: _kill_evaluator(lambda: self._server_pids(EVALUATOR), rng),
            "web process": lambda rng: _kill_one(self._server_pids(" web --parent "), rng),
            "whole server": lambda rng: self._any("server", rng).kill(),
            "first process of the server": lambda rng: kill(self._any("server", rng).pid),
            "worker": lambda rng: kill(self._any("worker", rng).pid),
            "worker's child": lambda rng: _kill_one(self._any("worker", rng).pids("haste-child"), rng),
            "RabbitMQ": lambda rng: self._restart(self.rabbitmq, rng),
            "RabbitMQ with its data": lambda rng: self._restart(self.rabbitmq, rng, self.rabbitmq.erase),
            "MariaDB": lambda rng: self._restart(self.mariadb, rng),
        }

    def disturbances(self) -> Mapping[str, Strike]:
        return {
            "cut": lambda rng: self._link(rng).cut(),
            "freeze": self._freeze,
            "delay": self._delay,
            "read-only database": self._read_only,
            "full database": self._full,
        }

    def processes(self) -> Iterator[tuple[str, int]]:
        for name, program in self.programs.items():
            yield ("server" if name.startswith("server") else "worker"), program.pid
            roles = (("engine", " engine --parent "), ("child", "haste-child"), ("evaluator", EVALUATOR))
            for role, words in roles:
                yield from ((role, pid) for pid in program.pids(words))
            webs = program.pids(" web --parent ")
            yield from (("web" if parent_of(pid) == program.pid else "web child", pid) for pid in webs)

    def _any(self, kind: str, rng: random.Random) -> Program:
        return self.programs[rng.choice([name for name in sorted(self.programs) if name.startswith(kind)])]

    def _server_pids(self, words: str) -> list[int]:
        return [
            pid
            for name, program in self.programs.items()
            if name.startswith("server")
            for pid in program.pids(words)
        ]

    def _restart(
        self, service: RabbitMQ | MariaDB, rng: random.Random, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        with self._services:
            service.kill()
            meanwhile()
            time.sleep(rng.uniform(0, 2))
            service.start()

    def _link(self, rng: random.Random) -> TcpProxy:
        return self.links[rng.choice(sorted(self.links))]

    def _freeze(self, rng: random.Random) -> None:
        link = self._link(rng)
        link.freeze()
        time.sleep(rng.uniform(0, 1.5 * LEASE_S))
        link.thaw()

    def _delay(self, rng: random.Random) -> None:
        link = self._link(rng)
        link.delay_s = rng.uniform(0.01, 0.2)
        time.sleep(rng.uniform(1, 4))
        link.delay_s = 0.0

    def _read_only(self, rng: random.Random) -> None:
        self._while_it_lives("SET GLOBAL read_only = 1")
        time.sleep(rng.uniform(0.5, 3))
        self._while_it_lives("SET GLOBAL read_only = 0")  # a restart has the same effect

    def _full(self, rng: random.Random) -> None:
        self.execute_patiently("CREATE TABLE IF NOT EXISTS filler (text TEXT)")
        deadline = time.monotonic() + FILLING_S
        for rows in (500, 20, 1):
            fill = f"INSERT INTO filler SELECT repeat('x', 4000) FROM seq_1_to_{rows}"
            while self._while_it_lives(fill) and time.monotonic() < deadline:
                pass
        time.sleep(rng.uniform(1, 4))
        self.execute_patiently("DROP TABLE filler")

    def _while_it_lives(self, statement: str) -> bool:
        try:
            self.execute(statement)
        except sa.exc.DBAPIError:
            return False  # full, or killed in this very moment
        return True

    def execute_patiently(self, statement: str) -> None:
        """Have MariaDB do something, started again if it has ended by itself."""
        while not self._while_it_lives(statement):
            with self._services:
                if not self._while_it_lives("SELECT 1"):
                    self.mariadb.kill()
                    self.mariadb.start()


def _kill_one(pids: list[int], rng: random.Random) -> None:
    if pids:
        kill(rng.choice(pids))


def _kill_evaluator(pids: Callable[[], list[int]], rng: random.Random) -> None:
    deadline = time.monotonic() + _FIRST_DECISION_S
    while not (found := pids()) and time.monotonic() < deadline:
        time.sleep(0.05)
    _kill_one(found, rng)
    time.sleep(_SPARED_S)


def _is_ready(url: str) -> bool:
    try:
        if requests.get(f"{url}/readyz", timeout=5).status_code != 200:
            return False
        workers = requests.get(f"{url}/HASTE/workers/", timeout=5).json()["workers"]
    except (requests.RequestException, KeyError):
        return False
    return bool(workers)

"""Fixtures for all tests: real services, started when a test first asks, and the shared data."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from tests.services.given import GivenServerError, check_given_servers
from tests.services.mariadb import MariaDB, create_database, drop_database
from tests.services.programs import (
    BROKER_URL_VARIABLE,
    DATABASE_URL_VARIABLE,
    MANAGEMENT_PORT_VARIABLE,
    ProgramMissingError,
    check_programs,
)
from tests.services.rabbitmq import RabbitMQ
from tests.services.vhosts import DEFAULT_MANAGEMENT_PORT, VirtualHosts
from tests.tables import make_tables

_SHARED_DIR = Path(__file__).resolve().parents[2] / "shared"
_PRIVATE_SERVERS = {"mariadb_server", "rabbitmq_server"}
_UNIT_TESTS = Path(__file__).parent / "unit"


# How often a property is tried that says nothing else: in `make test`, and in `make test-all`.
hypothesis.settings.register_profile("quick", max_examples=30)
hypothesis.settings.register_profile("thorough", max_examples=200)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that stop a server where there are only servers of other people."""
    if not (os.environ.get(BROKER_URL_VARIABLE) or os.environ.get(DATABASE_URL_VARIABLE)):
        return
    if not all(item.path.is_relative_to(_UNIT_TESTS) for item in items):
        _check_given_servers()
    try:
        check_programs()
    except ProgramMissingError:
        left_out = [item for item in items if _needs_private_server(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _check_given_servers() -> None:
    """End the whole run with a sentence, instead of each test with a traceback."""
    try:
        check_given_servers(os.environ)
    except GivenServerError as error:
        raise pytest.UsageError(str(error)) from error


def _needs_private_server(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("private_services") is not None
    return marked or not _PRIVATE_SERVERS.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_configure() -> None:
    """Let the programs under test hear what a shell in the background, or nohup, has us ignore.

    Their tables are not to be as wide as the terminal in which the tests run.
    """
    os.environ.pop("COLUMNS", None)
    # Where no compiled code is kept, each of the many programs that the tests start compiles ours anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # programs that we start do not inherit a handler


@pytest.fixture(autouse=True)
def _logs_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test's settings of logs reach the next one: a logger that kept them cannot be captured."""
    configure = structlog.configure

    def configure_for_now(**settings: Any) -> None:
        configure(**{**settings, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_for_now)
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """Return a private MariaDB server, for tests that stop it. Others take `mariadb_url`."""
    with MariaDB(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Return a private RabbitMQ broker, for tests that stop it. Others take `amqp_url`."""
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture(scope="session")
def _database_server_url(request: pytest.FixtureRequest) -> str:
    given_url = os.environ.get(DATABASE_URL_VARIABLE)
    if given_url:
        return given_url
    server: MariaDB = request.getfixturevalue("mariadb_server")
    return server.url


@pytest.fixture
def mariadb_url(_database_server_url: str) -> Iterator[str]:
    """Return the SQLAlchemy URL of an empty MariaDB database of the test's own."""
    yield from _database(_database_server_url)


@pytest.fixture(scope="module")
def lasting_mariadb_url(_database_server_url: str) -> Iterator[str]:
    """Return the SQLAlchemy URL of a MariaDB database that all tests of a file share."""
    yield from _database(_database_server_url)


def _database(server_url: str) -> Iterator[str]:
    url = create_database(server_url)
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def _vhosts(request: pytest.FixtureRequest) -> VirtualHosts:
    given_url = os.environ.get(BROKER_URL_VARIABLE)
    if given_url:
        port = os.environ.get(MANAGEMENT_PORT_VARIABLE, DEFAULT_MANAGEMENT_PORT)
        return VirtualHosts(given_url, management_port=int(port))
    broker: RabbitMQ = request.getfixturevalue("rabbitmq_server")
    return broker.vhosts


@pytest.fixture
def amqp_url(_vhosts: VirtualHosts) -> Iterator[str]:
    """Return the AMQP URL of an empty RabbitMQ virtual host of the test's own."""
    yield from _virtual_host(_vhosts)


@pytest.fixture(scope="module")
def lasting_amqp_url(_vhosts: VirtualHosts) -> Iterator[str]:
    """Return the AMQP URL of a RabbitMQ virtual host that all tests of a file share."""
    yield from _virtual_host(_vhosts)


def _virtual_host(vhosts: VirtualHosts) -> Iterator[str]:
    url = vhosts.create()
    yield url
    vhosts.delete(url)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of real images and traces beside the project; skip where it is missing."""
    if not _SHARED_DIR.is_dir():
        pytest.skip(f"no folder {_SHARED_DIR.name} beside the project")
    return _SHARED_DIR


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a database without rows: to copy it is quicker than to make it."""
    path = tmp_path_factory.mktemp("empty") / "haste.sqlite3"
    make_tables(f"sqlite:///{path}")
    return path

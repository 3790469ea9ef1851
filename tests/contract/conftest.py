"""The stores, brokers and tiers that contract suites run on."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from haste_core.lifecycle import Rules
from haste_core.scheduling import RetryPolicy
from haste_runtime.tiers import PosixTier, TrashTier
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.schema import metadata
from haste_server.store.sql import SqlStore
from tests.contract.broker_bench import Bench, EmbeddedShape, RabbitShape, Shape
from tests.contract.store_bench import PIPELINE
from tests.contract.tier_bench import PIECE_BYTES, FolderBench, S3Bench, SwiftBench, TierBench, remote_bench
from tests.integration.tcp_proxy import TcpProxy
from tests.services.s3 import S3Server
from tests.services.swift import Swift


@pytest.fixture(scope="module")
def _mariadb(lasting_mariadb_url: str) -> Iterator[Database]:
    database = Database(lasting_mariadb_url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """Return an empty store, once on each database."""
    rules = Rules(RetryPolicy(max_attempts=3, max_lost=2, base_delay_s=10), ageing_per_s=0.001)
    if request.param == "sqlite":
        empty = request.getfixturevalue("empty_database")
        database = Database(f"sqlite:///{shutil.copy(empty, tmp_path)}")
        yield SqlStore(database, rules, PIPELINE)
        database.close()
    else:  # emptied, since MariaDB takes longer to make and drop the tables than most tests
        database = request.getfixturevalue("_mariadb")
        yield SqlStore(database, rules, PIPELINE)
        with database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())


@pytest.fixture(params=["rabbitmq", "embedded"])
def shape(request: pytest.FixtureRequest) -> Shape:
    """Return a broker that does not run yet: over RabbitMQ, and through pipes."""
    if request.param == "rabbitmq":
        return RabbitShape(request.getfixturevalue("amqp_url"))
    return EmbeddedShape()


@pytest.fixture
def bench(shape: Shape) -> Iterator[Bench]:
    """Return a broker that runs, once of each shape."""
    bench = Bench(shape)
    yield bench
    bench.close()


# moto's server, OpenStack Swift, and the S3 that this speaks too, which keeps no checksums.
REMOTES = [
    "s3",
    pytest.param("swift", marks=pytest.mark.slow),
    pytest.param("s3-of-swift", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")  # all servers of moto in a process share what they hold
def moto() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    if find_spec("swift") is None:
        pytest.skip("OpenStack Swift is installed on Linux only")
    with Swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste_workers.tiers.s3.PART_BYTES", PIECE_BYTES)


@pytest.fixture(params=["posix", "trash", *REMOTES])
def area(request: pytest.FixtureRequest, tmp_path: Path, _small_parts: None) -> TierBench:
    """Return a new tier of each driver."""
    root = tmp_path / "deep" / "down" / "tierA"
    if request.param in ("posix", "trash"):
        root.mkdir(parents=True)
    if request.param == "posix":
        return FolderBench(PosixTier(root=root), tmp_path)
    if request.param == "trash":
        return FolderBench(TrashTier(driver="trash", root=root), tmp_path)
    return remote_bench(request.param, _server(request, request.param))


@pytest.fixture(scope="module", params=REMOTES)
def kind(request: pytest.FixtureRequest) -> str:
    """Name a kind of server."""
    return str(request.param)


@pytest.fixture(scope="module")
def proxy(request: pytest.FixtureRequest, kind: str) -> Iterator[TcpProxy]:
    """Return the proxy by which `remote` is reached."""
    proxy = TcpProxy(_server(request, kind).port)
    yield proxy
    proxy.close()


@pytest.fixture
def remote(
    request: pytest.FixtureRequest, kind: str, proxy: TcpProxy, _small_parts: None
) -> S3Bench | SwiftBench:
    """Return a new tier on a server."""
    return remote_bench(kind, _server(request, kind), proxy=proxy)


def _server(request: pytest.FixtureRequest, kind: str) -> S3Server | Swift:
    server: S3Server | Swift = request.getfixturevalue("moto" if kind == "s3" else "swift")
    return server

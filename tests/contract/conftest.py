"""The stores and brokers that contract suites run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from haste_core.lifecycle import Rules
from haste_core.scheduling import RetryPolicy
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from tests.contract.broker_bench import Bench, EmbeddedShape, RabbitShape, Shape
from tests.contract.store_bench import PIPELINE


@pytest.fixture(params=["sqlite", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """Return an empty store, once on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/haste.db"
    else:
        url = request.getfixturevalue("mariadb_url")
    database = Database(url)
    upgrade(database)
    rules = Rules(RetryPolicy(max_attempts=3, max_lost=2, base_delay_s=10), ageing_per_s=0.001)
    yield SqlStore(database, rules, PIPELINE)
    database.close()


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

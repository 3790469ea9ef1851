"""A whole system on the services of the test run, which starts sooner than one with services of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.chaos.sites import Distributed
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def distributed(rabbitmq_server: RabbitMQ, mariadb_server: MariaDB) -> Callable[..., Distributed]:
    """Make a site that has a virtual host and a database of its own, and does not own the services."""
    return partial(Distributed, rabbitmq=rabbitmq_server, mariadb=mariadb_server)


@pytest.fixture(scope="module")
def site(
    distributed: Callable[..., Distributed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Distributed]:
    """Return a site that runs, one for all tests of a file."""
    with distributed(tmp_path_factory.mktemp("site")) as opened:
        yield opened

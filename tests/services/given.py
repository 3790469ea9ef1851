"""Servers of other people that the tester has named: whether they answer, said in a sentence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import pika
import pika.exceptions
import requests
import sqlalchemy.exc

from tests.services.mariadb import check_database
from tests.services.programs import BROKER_URL_VARIABLE, DATABASE_URL_VARIABLE, MANAGEMENT_PORT_VARIABLE
from tests.services.vhosts import DEFAULT_MANAGEMENT_PORT, VirtualHosts

_TIMEOUT_S = 5.0


class GivenServerError(RuntimeError):
    """A server that the tester has named cannot be used; the message says which, why, and what to do."""


def check_given_servers(environ: Mapping[str, str]) -> None:
    """Check that the servers that `environ` names, if any, can be used.

    Raises
    ------
    GivenServerError
        With the first one that cannot.
    """
    database_url, broker_url = environ.get(DATABASE_URL_VARIABLE), environ.get(BROKER_URL_VARIABLE)
    if database_url:
        with _explained(DATABASE_URL_VARIABLE, database_url):
            check_database(database_url, timeout_s=_TIMEOUT_S)
    if broker_url:
        with _explained(BROKER_URL_VARIABLE, broker_url):
            _check_broker(broker_url, int(environ.get(MANAGEMENT_PORT_VARIABLE, DEFAULT_MANAGEMENT_PORT)))


def _check_broker(url: str, management_port: int) -> None:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.blocked_connection_timeout = _TIMEOUT_S
    pika.BlockingConnection(parameters).close()
    VirtualHosts(url, management_port=management_port).check()


@contextmanager
def _explained(variable: str, url: str) -> Iterator[None]:
    try:
        yield
    except (
        OSError,
        ValueError,
        pika.exceptions.AMQPError,
        requests.RequestException,
        sqlalchemy.exc.SQLAlchemyError,
    ) as error:
        parts = urlsplit(url)
        # Its password is not shown.
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else url
        raise GivenServerError(
            f"{variable} names {shown}, which cannot be used: {_reason(error)}. Start or correct it, or "
            f"unset {variable} and the tests start a server of their own."
        ) from error


def _reason(error: Exception) -> str:
    """Find the words of the cause, which SQLAlchemy and pika wrap."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, pika.exceptions.AMQPError) and cause.args:
        cause = getattr(cause.args[0], "exception", cause.args[0])
    words = cause.args[-1] if cause.args and isinstance(cause.args[-1], str) else cause
    return str(words).splitlines()[0]

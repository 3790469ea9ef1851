"""Connections and transactions."""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic_core
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError

from haste_core.errors import TransientError
from haste_server.authorship import Change, unlogged_change
from haste_server.store.schema import audit

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

BUSY_TIMEOUT_MS = 20_000  # SQLite: writers wait for one another this long
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60  # a statement that takes longer hangs; better to reconnect
MAX_RETRIES = 8

_SQLITE_OUTAGES = (
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_READONLY",
)
_DEADLOCK_CODES = {1205, 1213}  # MariaDB: lock wait timeout, deadlock found
# MariaDB: no connection (1040 too many, 1053 shutting down, 1927 and 2xxx lost or never made), locks that
# stay held, full (1021, 1114, 28) or read-only (1290, 1836).
_OUTAGE_CODES = {28, 1021, 1040, 1053, 1114, 1205, 1213, 1290, 1836, 1927, 2002, 2003, 2006, 2013, 2055}


def to_json(value: Any) -> str:
    """Write a value as JSON, whatever numbers it holds."""
    return pydantic_core.to_json(value, inf_nan_mode="constants").decode()


_OPTIONS: dict[str, Any] = {
    "json_serializer": to_json,
    "json_deserializer": pydantic_core.from_json,
    "pool_size": 16,
    "max_overflow": 80,
    # Each transaction here is committed or rolled back by itself; to be sure of it would be one more message.
    "pool_reset_on_return": None,
}


class Database:
    """One database, with transactions that are tried again when a deadlock broke them.

    Parameters
    ----------
    url : str
        ``sqlite:///file`` or ``mysql+pymysql://…`` (also written ``mariadb://``).
    """

    def __init__(self, url: str) -> None:
        self.url = _with_driver(make_url(url))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = self._sqlite() if self.is_sqlite else self._mariadb()
        # SQLite's own waiting polls with long sleeps; the writers of this process queue here instead.
        self._turn = threading.Lock() if self.is_sqlite else contextlib.nullcontext()

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run a transaction that may change something; `work` is run again where nothing of it was stored.

        Raises
        ------
        TransientError
            If the database cannot be reached, is full or read-only. Nothing was changed then, unless the
            connection broke in the very moment of the commit.
        """
        for attempt in range(MAX_RETRIES):
            committing = False
            try:
                with self._turn, self.engine.begin() as connection:
                    result = work(connection)
                    change = _log_change(connection)
                    committing = True
            except DBAPIError as error:
                broken = error.connection_invalidated and not committing and attempt == 0
                if not (broken or _is_deadlock(error)) or attempt == MAX_RETRIES - 1:
                    _raise_if_outage(error)
                    raise
                logger.debug("transaction is tried again", extra={"action": "deadlock", "attempt": attempt})
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - not a secret
            else:
                if change is not None:
                    change.is_logged = True
                return result
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run a transaction that changes nothing.

        Raises
        ------
        TransientError
            If the database cannot be reached.
        """
        try:
            return self._read(work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                _raise_if_outage(error)
                raise
        try:
            return self._read(work)  # a connection of before the database's last restart; now there is a new
        except DBAPIError as error:
            _raise_if_outage(error)
            raise

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.connect().execution_options(haste_read_only=True) as connection:
            return work(connection)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _sqlite(self) -> Engine:
        engine = sa.create_engine(
            self.url,
            **_OPTIONS,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        )

        @sa.event.listens_for(engine, "connect")
        def configure(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
            # The driver's own BEGIN is deferred and comes late; `begin` below says it at the right time.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()

        @sa.event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            read_only = connection.get_execution_options().get("haste_read_only", False)
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

        return engine

    def _mariadb(self) -> Engine:
        return sa.create_engine(
            self.url,
            **_OPTIONS,
            isolation_level="READ COMMITTED",  # no gap locks: claims and results do not block one another
            pool_recycle=3600,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "read_timeout": READ_TIMEOUT_S,
                "write_timeout": READ_TIMEOUT_S,
                "charset": "utf8mb4",
            },
        )


def _log_change(connection: Connection) -> Change | None:
    """Write down whose change a transaction makes."""
    change = unlogged_change()
    if change is not None:
        row = {
            "made_at": change.made_at,
            "who": change.who,
            "address": change.address,
            "action": change.action,
            "target": change.target,
            "details": change.details(),
        }
        connection.execute(sa.insert(audit).values(row))
    return change


def _with_driver(url: URL) -> URL:
    if url.drivername in ("mysql", "mariadb", "mariadb+pymysql"):
        return url.set(drivername="mysql+pymysql")
    return url


def _is_deadlock(error: DBAPIError) -> bool:
    return bool(error.orig and error.orig.args and error.orig.args[0] in _DEADLOCK_CODES)


def _raise_if_outage(error: DBAPIError) -> None:
    """Tell outages, which pass, from our own faults and unfit data, which must be seen."""
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError):
        outage = getattr(cause, "sqlite_errorname", "").startswith(_SQLITE_OUTAGES)
    else:
        outage = bool(cause and cause.args and cause.args[0] in _OUTAGE_CODES)
    # PyMySQL tells a connection that was closed under it by an InterfaceError without a code.
    if outage or error.connection_invalidated or isinstance(error, InterfaceError):
        raise TransientError(f"the database is not available: {cause}") from error

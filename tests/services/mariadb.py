"""MariaDB for tests: a private server, and empty databases on it or on any other."""

import os
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql
from sqlalchemy import URL, NullPool, create_engine, make_url, text

from tests.services.process import ServiceError, ServiceProcess, base_environ, free_port
from tests.services.programs import find_program

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_DROP_TIMEOUT_S = 20
_USER = "haste"
_DRIVER = "mysql+pymysql"


def create_database(server_url: str) -> str:
    """Create an empty database with a random name and return its SQLAlchemy URL.

    Parameters
    ----------
    server_url
        ``mysql://`` or ``mysql+pymysql://`` URL of an account that may create databases.
    """
    name = f"haste_{secrets.token_hex(8)}"
    _execute(server_url, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    url = make_url(server_url).set(drivername=_DRIVER, database=name)
    return url.render_as_string(hide_password=False)


def check_database(server_url: str, *, timeout_s: float) -> None:
    """Raise SQLAlchemyError unless the server answers, and takes the account."""
    arguments = {"connect_timeout": timeout_s}
    engine = create_engine(
        make_url(server_url).set(drivername=_DRIVER), poolclass=NullPool, connect_args=arguments
    )
    engine.connect().close()


def drop_database(url: str) -> None:
    """Remove the database that `url` names, with all that is in it."""
    # A test that left a transaction open would otherwise hold this up for a day.
    wait = f"SET STATEMENT lock_wait_timeout={_DROP_TIMEOUT_S} FOR"
    _execute(url, f"{wait} DROP DATABASE `{make_url(url).database}`")


class MariaDB:
    """A private MariaDB server with its own port and data, in `folder`.

    The only account that TCP reaches has a random password. Every commit is flushed to disk, as in
    production, so that a kill loses what it would lose there: nothing that was committed.

    Parameters
    ----------
    folder
        Folder for the data and `mariadb.log`; made if missing.
    options
        More options of ``mariadbd``, for example ``--innodb-file-per-table=0``.

    Examples
    --------
    >>> with MariaDB(tmp_path / "mariadb") as server:  # doctest: +SKIP
    ...     engine = create_engine(server.new_database())
    """

    def __init__(self, folder: Path, *, options: Sequence[str] = ()) -> None:
        self._folder = folder
        self._options = tuple(options)
        self._port = free_port()
        self._password = secrets.token_hex(16)
        self._process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the server, without a database."""
        return self._url_of(None).render_as_string(hide_password=False)

    def start(self) -> None:
        """Start the server on its port and data folder; return when it answers.

        Raises
        ------
        ServiceError
            If it does not start; the message has the end of its log.
        """
        if not (self._folder / "data").exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._install()
        process = ServiceProcess(
            [
                find_program("mariadbd"),
                "--no-defaults",
                *_account_options(),
                *self._places(),
                f"--port={self._port}",
                "--bind-address=127.0.0.1",
                # Relative to the data folder: the whole path may be too long for a socket's name.
                "--socket=s.sock",
                "--skip-name-resolve",
                f"--init-file={self._folder / 'accounts.sql'}",
                "--innodb-flush-log-at-trx-commit=1",
                "--max-connections=500",
                *self._options,
            ],
            log=self._folder / "mariadb.log",
            environ=base_environ(),
        )
        process.wait_until(self._answers, timeout_s=_START_TIMEOUT_S)
        self._process = process

    def stop(self) -> None:
        """Shut the server down; nothing happens if it is not running."""
        if self._process is not None:
            self._process.stop(timeout_s=_STOP_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """Kill the server with SIGKILL; nothing happens if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def new_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        return create_database(self.url)

    def drop_database(self, url: str) -> None:
        """Remove a database that `new_database` made."""
        drop_database(url)

    def _url_of(self, database: str | None) -> URL:
        return URL.create(_DRIVER, _USER, self._password, "127.0.0.1", self._port, database)

    def _places(self) -> list[str]:
        # A server that starts removes the temporary tables of all that share its folder for them.
        return [f"--datadir={self._folder / 'data'}", f"--tmpdir={self._folder}"]

    def _install(self) -> None:
        (self._folder / "accounts.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{_USER}'@'127.0.0.1' IDENTIFIED BY '{self._password}';\n"
            f"GRANT ALL ON *.* TO '{_USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        done = subprocess.run(
            [
                find_program("mariadb-install-db"),
                "--no-defaults",
                *_account_options(),
                *self._places(),
                *self._options,
                "--skip-test-db",
                "--force",  # even where this machine has no name, as in a bare container
                "--auth-root-authentication-method=socket",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        try:
            connection = pymysql.connect(
                host="127.0.0.1", port=self._port, user=_USER, password=self._password
            )
        except pymysql.err.OperationalError:
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


def _execute(url: str, statement: str) -> None:
    engine = create_engine(make_url(url).set(drivername=_DRIVER), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


def _account_options() -> list[str]:
    # MariaDB refuses to run as root unless it is told so; others may not name a user at all.
    return ["--user=root"] if os.geteuid() == 0 else []

"""Where the server programs are, and what to install when they are missing."""

import os
import shutil
from collections.abc import Mapping

DATABASE_URL_VARIABLE = "HASTE_TEST_DATABASE_URL"
BROKER_URL_VARIABLE = "HASTE_TEST_BROKER_URL"
MANAGEMENT_PORT_VARIABLE = "HASTE_TEST_BROKER_MANAGEMENT_PORT"

INSTALL_ADVICE = (
    "The tests need RabbitMQ 3.10 or newer and MariaDB 10.6 or newer: install the packages "
    "rabbitmq-server, mariadb-server-core and mariadb-client-core, or name running servers in "
    f"{BROKER_URL_VARIABLE} and {DATABASE_URL_VARIABLE}."
)

# The daemons live outside an ordinary user's PATH. For RabbitMQ the plain script has to come
# first: the one that Debian puts in /usr/sbin changes to the user rabbitmq and its data folder.
_RABBITMQ_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin")
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin")

_RABBITMQ_PROGRAMS = ("rabbitmq-server", "epmd")
_MARIADB_PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")


class ProgramMissingError(RuntimeError):
    """A server program that the tests need is not installed."""


def find_program(name: str) -> str:
    """Return the path of the server program `name`.

    Raises
    ------
    ProgramMissingError
        If it is not installed; the message says what to install.
    """
    path = os.environ.get("PATH", os.defpath)
    folders = [path, *_SYSTEM_FOLDERS]
    if name == "rabbitmq-server":
        folders = [*_RABBITMQ_FOLDERS, path]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise ProgramMissingError(f"{INSTALL_ADVICE} (Not found here: {name}.)")
    return found


def check_programs() -> None:
    """Check that private instances of both services can be started here.

    Raises
    ------
    ProgramMissingError
        If a program is missing; the message says what to install.
    """
    for name in (*_RABBITMQ_PROGRAMS, *_MARIADB_PROGRAMS):
        find_program(name)


def check_services(environ: Mapping[str, str]) -> None:
    """Check that both services can be had: by a URL in `environ` or as installed programs.

    Raises
    ------
    ProgramMissingError
        If one of them cannot; the message says what to install.
    """
    given = environ.get(BROKER_URL_VARIABLE), environ.get(DATABASE_URL_VARIABLE)
    for url, programs in zip(given, (_RABBITMQ_PROGRAMS, _MARIADB_PROGRAMS), strict=True):
        if not url:
            for name in programs:
                find_program(name)

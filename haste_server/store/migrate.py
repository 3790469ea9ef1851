"""The schema's versions, kept by alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from haste_core.errors import PermanentError
from haste_server.store.database import Database


def upgrade(database: Database) -> None:
    """Bring a database to the schema of this version; a new one gets all its tables."""
    with database.engine.connect() as connection:
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        connection.commit()


def check(database: Database) -> None:
    """Refuse a database whose schema is not this version's.

    Raises
    ------
    PermanentError
        With the remedy.
    """
    wanted = ScriptDirectory.from_config(_configuration()).get_current_head()
    with database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        if found is None:
            raise PermanentError("the database has no tables of HASTE server: run `haste-server db upgrade`")
        raise PermanentError(
            f"the database has schema {found}, this server needs {wanted}: "
            "run `haste-server db upgrade` (after a backup)"
        )


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return configuration

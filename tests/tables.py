"""The tables of a database, as a server finds them."""

from haste_server.store.database import Database
from haste_server.store.migrate import upgrade


def make_tables(database_url: str) -> None:
    """Do what `haste-server db upgrade` does, without a program."""
    database = Database(database_url)
    upgrade(database)
    database.close()

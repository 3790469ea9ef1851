"""Small pictures of images, as workers made them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection

from haste_core.figures import Thumbnail
from haste_server.store.records import SqlPart
from haste_server.store.schema import thumbnails


class Thumbnails(SqlPart):
    """The pictures that pages show."""

    def thumbnail(self, job_id: int) -> Thumbnail | None:
        """Load a picture; see `haste_core.figures.FigureStore.thumbnail`."""
        row = self.database.read(lambda connection: connection.execute(_ONE, {"id": job_id}).first())
        return None if row is None else Thumbnail(row.digest, row.jpeg)


def save_thumbnails(connection: Connection, pictures: Mapping[int, bytes], *, is_sqlite: bool) -> None:
    """Keep pictures by job, in place of earlier ones; this transaction holds the jobs."""
    if not pictures:
        return
    rows = [
        {"job_id": job_id, "digest": digest_of(jpeg), "jpeg": jpeg}
        for job_id, jpeg in sorted(pictures.items())
    ]
    connection.execute(_SAVING_SQLITE if is_sqlite else _SAVING_MARIADB, rows)


def digest_of(jpeg: bytes) -> str:
    """Name a picture by its content, in 16 hex digits."""
    return hashlib.sha256(jpeg).hexdigest()[:16]


_ONE = sa.select(thumbnails.c.digest, thumbnails.c.jpeg).where(thumbnails.c.job_id == sa.bindparam("id"))
_CHANGING = ("digest", "jpeg")
_sqlite = sqlite.insert(thumbnails)
_SAVING_SQLITE: Any = _sqlite.on_conflict_do_update(
    index_elements=[thumbnails.c.job_id], set_={name: _sqlite.excluded[name] for name in _CHANGING}
)
_mariadb = mysql.insert(thumbnails)
_SAVING_MARIADB: Any = _mariadb.on_duplicate_key_update({name: _mariadb.inserted[name] for name in _CHANGING})

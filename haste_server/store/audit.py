"""The log of changes as it is read; `Database.write` writes it."""

from __future__ import annotations

import sqlalchemy as sa

from haste_core.audit import AuditEntry
from haste_core.stores import Page
from haste_server.store.jobs import numeric_cursor
from haste_server.store.records import SqlPart
from haste_server.store.schema import audit


class Audit(SqlPart):
    """A `haste_core.audit.AuditStore`."""

    def audit(self, *, who: str | None, cursor: str | None, limit: int) -> Page[AuditEntry]:
        """List entries, the latest first."""
        wanted = sa.select(audit).order_by(audit.c.entry_id.desc()).limit(limit)
        if cursor is not None:
            wanted = wanted.where(audit.c.entry_id < numeric_cursor(cursor))
        if who is not None:
            wanted = wanted.where(audit.c.who == who)
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        following = str(rows[-1].entry_id) if len(rows) == limit else None
        return Page([AuditEntry(*row) for row in rows], following)

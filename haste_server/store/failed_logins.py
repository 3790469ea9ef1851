"""When wrong tokens were shown, and from where."""

from __future__ import annotations

import sqlalchemy as sa

from haste_server.store.records import SqlPart
from haste_server.store.schema import failed_logins


class FailedLogins(SqlPart):
    """What `haste_core.tokens.TokenStore` says of failed logins."""

    def note_failed_login(self, site: str, *, now: float) -> None:
        """Take note that somebody showed a wrong token."""
        row = sa.insert(failed_logins).values(site=site, failed_at=now)
        self.database.write(lambda connection: connection.execute(row))

    def failed_logins(self, site: str, *, since: float, limit: int) -> list[float]:
        """Tell when wrong tokens were shown from a site, the latest first."""
        wanted = (
            sa.select(failed_logins.c.failed_at)
            .where(failed_logins.c.site == site, failed_logins.c.failed_at > since)
            .order_by(failed_logins.c.failed_at.desc())
            .limit(limit)
        )
        return list(self.database.read(lambda connection: connection.execute(wanted).scalars().all()))

    def forget_failed_logins(self, *, before: float) -> None:
        """Forget those of all sites that are too long ago to count."""
        gone = sa.delete(failed_logins).where(failed_logins.c.failed_at < before)
        self.database.write(lambda connection: connection.execute(gone))

"""What the uploads of tokens with a quota hold: an entry each, and the sum beside the token."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from haste_core.stores import Page
from haste_core.tokens import sha256_of
from haste_core.upload_quotas import HeldUpload, UploadQuota, UploadQuotaError
from haste_server.store.records import SqlPart
from haste_server.store.schema import held_uploads, tokens


class HeldUploads(SqlPart):
    """A `haste_core.upload_quotas.HeldUploadStore`."""

    def hold(self, quota: UploadQuota, upload_id: str, size_bytes: int, *, now: float) -> None:
        """Count an upload before it comes; see `haste_core.upload_quotas.HeldUploadStore.hold`."""

        def work(connection: Connection) -> None:
            known = connection.execute(_ONE, {"key": upload_id}).one_or_none()
            if known is not None and known.token_id != quota.token_id:
                return  # it is another's, who began it
            more_bytes = size_bytes - (0 if known is None else known.size_bytes)
            given = {"token": quota.token_id, "more_bytes": more_bytes}
            # The sum is asked for and changed in one statement: of two at once, the second sees the first.
            if not connection.execute(_ADD_WITHIN_QUOTA, given).rowcount:
                raise _beyond(connection, quota, size_bytes)
            row: dict[str, object] = {"size_bytes": size_bytes, "held_at": now}
            if known is None:
                row |= {"held_key": upload_id, "token_id": quota.token_id}
                connection.execute(sa.insert(held_uploads).values(row))
            else:
                connection.execute(sa.update(held_uploads).where(_THIS).values(row), {"key": upload_id})

        self.database.write(work)

    def land(self, upload_id: str, url: str, *, now: float) -> None:
        """Count an upload as the file that it has become."""
        key = sha256_of(url)  # URLs may be longer than what an index takes

        def work(connection: Connection) -> None:
            if connection.execute(_ONE, {"key": upload_id}).one_or_none() is None:
                return
            there = connection.execute(
                sa.update(held_uploads).where(_THIS).values(held_at=now), {"key": key}
            ).rowcount
            if there:
                _release(connection, upload_id)
                return
            landed = sa.update(held_uploads).where(_THIS).values(held_key=key, url=url, held_at=now)
            connection.execute(landed, {"key": upload_id})

        try:
            self.database.write(work)
        except IntegrityError:  # the same file has landed in this very moment
            self.database.write(work)

    def release(self, key: str, *, unless_after: float | None = None) -> None:
        """Count something no more."""
        self.database.write(lambda connection: _release(connection, key, unless_after=unless_after))

    def held(self, *, cursor: str | None, limit: int) -> Page[HeldUpload]:
        """List all that counts, by key."""
        wanted = (
            sa.select(held_uploads)
            .where(held_uploads.c.held_key > (cursor or ""))
            .order_by(held_uploads.c.held_key)
            .limit(limit)
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        following = rows[-1].held_key if len(rows) == limit else None
        return Page([HeldUpload(row.held_key, row.url, row.held_at) for row in rows], following)


def _release(connection: Connection, key: str, *, unless_after: float | None = None) -> None:
    known = connection.execute(_ONE, {"key": key}).one_or_none()
    if known is None:
        return
    gone = sa.delete(held_uploads).where(_THIS)
    if unless_after is not None:
        gone = gone.where(held_uploads.c.held_at <= unless_after)
    if connection.execute(gone, {"key": key}).rowcount:
        connection.execute(_SUBTRACT, {"token": known.token_id, "less_bytes": known.size_bytes})


def _beyond(connection: Connection, quota: UploadQuota, size_bytes: int) -> UploadQuotaError:
    has = connection.scalar(sa.select(tokens.c.upload_held_bytes).where(tokens.c.token_id == quota.token_id))
    return UploadQuotaError(
        f"the uploads of the token {quota.token_name!r} may hold {quota.limit_bytes:,} bytes of the server's "
        f"landing area and hold {has:,}, so that {size_bytes:,} more find no room: ask whoever runs the "
        "server to make room there, or for a token with a higher upload quota"
    )


_THIS = held_uploads.c.held_key == sa.bindparam("key")
_ONE = sa.select(held_uploads).where(_THIS)
_SUM_AFTER = tokens.c.upload_held_bytes + sa.bindparam("more_bytes", type_=sa.BigInteger)
_ADD_WITHIN_QUOTA = (
    sa.update(tokens)
    .where(tokens.c.token_id == sa.bindparam("token"), tokens.c.upload_quota_bytes >= _SUM_AFTER)
    .values(upload_held_bytes=_SUM_AFTER)
)
_SUBTRACT = (
    sa.update(tokens)
    .where(tokens.c.token_id == sa.bindparam("token"))
    .values(upload_held_bytes=tokens.c.upload_held_bytes - sa.bindparam("less_bytes", type_=sa.BigInteger))
)

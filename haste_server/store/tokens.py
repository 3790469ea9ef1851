"""Tokens, by the hashes of their secrets."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from haste_core.errors import ConflictError, NotFoundError
from haste_core.stores import Page
from haste_core.tokens import NewToken, Scope, TokenRecord
from haste_server.store.jobs import numeric_cursor
from haste_server.store.records import SqlPart
from haste_server.store.schema import tokens


class Tokens(SqlPart):
    """A `haste_core.tokens.TokenStore`."""

    def add_token(self, wanted: NewToken, sha256: str, *, now: float) -> TokenRecord:
        """Store a token; see `haste_core.tokens.TokenStore.add_token`."""
        row = {
            "name": wanted.name,
            "sha256": sha256,
            "scopes": [scope.value for scope in wanted.scopes],
            "projects": None if wanted.projects is None else list(wanted.projects),
            "created_at": now,
            "expires_at": wanted.expires_at,
            "upload_quota_bytes": wanted.upload_quota_bytes,
            "upload_held_bytes": 0,
        }

        def work(connection: Connection) -> TokenRecord:
            connection.execute(sa.insert(tokens).values(row))
            return _record(connection.execute(_BY_HASH, {"hash": sha256}).one())

        try:
            return self.database.write(work)
        except IntegrityError:
            raise ConflictError(
                f"there is a token {wanted.name!r}, or was one: choose another name, since the log of "
                "changes knows tokens by their names"
            ) from None

    def token_by_hash(self, sha256: str) -> TokenRecord | None:
        """Find a token, good or not."""
        row = self.database.read(
            lambda connection: connection.execute(_BY_HASH, {"hash": sha256}).one_or_none()
        )
        return None if row is None else _record(row)

    def token(self, token_id: int) -> TokenRecord:
        """Load a token."""
        wanted = sa.select(tokens).where(tokens.c.token_id == token_id)
        row = self.database.read(lambda connection: connection.execute(wanted).one_or_none())
        if row is None:
            raise NotFoundError(f"there is no token {token_id}")
        return _record(row)

    def tokens(self, *, cursor: str | None, limit: int) -> Page[TokenRecord]:
        """List all tokens by number."""
        wanted = (
            sa.select(tokens)
            .where(tokens.c.token_id > numeric_cursor(cursor))
            .order_by(tokens.c.token_id)
            .limit(limit)
        )
        rows = self.database.read(lambda connection: connection.execute(wanted).all())
        following = str(rows[-1].token_id) if len(rows) == limit else None
        return Page([_record(row) for row in rows], following)

    def revoke_token(self, name: str, *, now: float) -> TokenRecord:
        """Let a token open nothing any more."""
        this = tokens.c.name == name
        revoked = sa.update(tokens).where(this, tokens.c.revoked_at.is_(None)).values(revoked_at=now)

        def work(connection: Connection) -> TokenRecord:
            connection.execute(revoked)
            row = connection.execute(sa.select(tokens).where(this)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no token {name!r}")
            return _record(row)

        return self.database.write(work)

    def note_token_use(self, token_id: int, *, now: float) -> None:
        """Take note that a token was used."""
        used = sa.update(tokens).where(tokens.c.token_id == token_id).values(last_used_at=now)
        self.database.write(lambda connection: connection.execute(used))


def _record(row: Row[Any]) -> TokenRecord:
    return TokenRecord(
        token_id=row.token_id,
        name=row.name,
        scopes=tuple(map(Scope, row.scopes)),
        projects=None if row.projects is None else tuple(row.projects),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        upload_quota_bytes=row.upload_quota_bytes,
        upload_held_bytes=row.upload_held_bytes,
    )


_BY_HASH = sa.select(tokens).where(tokens.c.sha256 == sa.bindparam("hash"))

"""Who may ask the server for what: tokens, their scopes, and the projects that streams belong to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Protocol

from haste_core.fields import Form
from haste_core.stores import DEFAULT_PROJECT, Page
from haste_core.upload_quotas import UploadQuota

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_UNLIKE = "at most 100 letters, digits, '.', '-' and '_', a letter or digit first"

ProjectName = Annotated[str, Form(_NAME, f"is not the name of a project: {_UNLIKE}")]
TokenName = Annotated[str, Form(_NAME, f"is not the name of a token: {_UNLIKE}")]


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"  # look at everything that its projects have
    SUBMIT = "submit"  # read; submit, upload, and steer streams and jobs
    WORK = "work"  # read; what workers ask for
    ADMIN = "admin"  # everything


_INCLUDED: Mapping[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.SUBMIT: frozenset({Scope.READ, Scope.SUBMIT}),
    Scope.WORK: frozenset({Scope.READ, Scope.WORK}),
    Scope.ADMIN: frozenset(Scope),
}


def included(scopes: Collection[Scope]) -> frozenset[Scope]:
    """List scopes with those that they include."""
    return frozenset().union(*(_INCLUDED[scope] for scope in scopes))


def sha256_of(secret: str) -> str:
    """Return what the server keeps of a token: nobody can find 256 random bits by their hash."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def work_token_of(token: str) -> str:
    """Make the token of a server's own workers from that of its settings, which they need not know."""
    return "haste_work_" + hmac.digest(token.encode(), b"HASTE own workers, version 1", "sha256").hex()


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes
    ----------
    name : str
        As the log of changes tells it.
    scopes : frozenset of Scope
        With those that they include.
    projects : tuple of str, optional
        Whose streams it may know of; new ones belong to the first. None: to all.
    token_id : int, optional
        None: of the settings, or without a token.
    upload_quota : UploadQuota, optional
        What its uploads may hold. None: what the disk takes.
    expires_at : float, optional
        When its token opens nothing any more, seconds since 1970. None: never.
    by_proxy : bool
        Shows no token: a trusted proxy says who it is.
    """

    name: str
    scopes: frozenset[Scope]
    projects: tuple[str, ...] | None = None
    token_id: int | None = None
    upload_quota: UploadQuota | None = None
    expires_at: float | None = None
    by_proxy: bool = False

    def may(self, wanted: frozenset[Scope]) -> bool:
        """Tell whether it has one of these scopes."""
        return not wanted.isdisjoint(self.scopes)

    @property
    def home(self) -> str:
        """The project of the streams that it makes."""
        return DEFAULT_PROJECT if self.projects is None else self.projects[0]


@dataclass(frozen=True)
class NewToken:
    """A token as it is asked for.

    Attributes
    ----------
    projects : tuple of str, optional
        At least one. None: all.
    expires_at : float, optional
        Seconds since 1970. None: never.
    upload_quota_bytes : int, optional
        What its uploads may hold in the landing area. None: what the disk takes.
    """

    name: str
    scopes: tuple[Scope, ...]
    projects: tuple[str, ...] | None = None
    expires_at: float | None = None
    upload_quota_bytes: int | None = None


@dataclass(frozen=True)
class TokenRecord(NewToken):
    """A token as the server knows it; the secret itself nobody can find out.

    Attributes
    ----------
    created_at, revoked_at, last_used_at : float, optional
        Seconds since 1970.
    upload_held_bytes : int
        What its uploads hold; counted only with a quota.
    """

    token_id: int = 0
    created_at: float = 0.0
    revoked_at: float | None = None
    last_used_at: float | None = None
    upload_held_bytes: int = 0

    def is_good(self, now: float) -> bool:
        """Tell whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def caller(self) -> Caller:
        """Who shows it."""
        return Caller(
            self.name,
            included(self.scopes),
            self.projects,
            self.token_id,
            upload_quota=self._upload_quota,
            expires_at=self.expires_at,
        )

    @property
    def _upload_quota(self) -> UploadQuota | None:
        if self.upload_quota_bytes is None:
            return None
        return UploadQuota(self.token_id, self.name, self.upload_quota_bytes)


class TokenStore(Protocol):
    """What the API does with tokens."""

    def add_token(self, wanted: NewToken, sha256: str, *, now: float) -> TokenRecord:
        """Store a token by its hash.

        Raises
        ------
        ConflictError
            If there is, or was, one of this name.
        """

    def token_by_hash(self, sha256: str) -> TokenRecord | None:
        """Find a token, good or not."""

    def token(self, token_id: int) -> TokenRecord:
        """Load a token; raises NotFoundError."""

    def tokens(self, *, cursor: str | None, limit: int) -> Page[TokenRecord]:
        """List all tokens by number."""

    def revoke_token(self, name: str, *, now: float) -> TokenRecord:
        """Let a token open nothing any more; one that was revoked before keeps its time.

        Raises
        ------
        NotFoundError
        """

    def note_token_use(self, token_id: int, *, now: float) -> None:
        """Take note that a token was used."""

    def note_failed_login(self, site: str, *, now: float) -> None:
        """Take note that somebody showed a wrong token; the site is an address, or a network."""

    def failed_logins(self, site: str, *, since: float, limit: int) -> list[float]:
        """Tell when wrong tokens were shown from a site, the latest first."""

    def forget_failed_logins(self, *, before: float) -> None:
        """Forget those of all sites that are too long ago to count."""


class ProjectStore(Protocol):
    """Which of some things belong to some projects; of what is not there, nothing is said."""

    def streams_among(self, stream_ids: Sequence[str], projects: Sequence[str]) -> frozenset[str]:
        """Choose the streams that belong to projects."""

    def foreign_streams(self, stream_ids: Sequence[str], projects: Sequence[str]) -> frozenset[str]:
        """Choose the streams that are there, and belong to other projects."""

    def jobs_among(self, job_ids: Sequence[int], projects: Sequence[str]) -> frozenset[int]:
        """Choose the jobs that belong to projects."""

    def tasks_among(self, task_ids: Sequence[int], projects: Sequence[str]) -> frozenset[int]:
        """Choose the tasks that belong to projects."""

"""Tokens: who may ask the server for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, SecretStr

from haste_client.connection import Connection

_PAGE = 1000


class TokenAnswer(BaseModel):
    """A token, without its secret.

    Attributes
    ----------
    scopes : tuple of str
        ``read``, ``submit``, ``work``, ``admin``.
    projects : tuple of str, optional
        Whose streams it may know of; None: all.
    created_at, expires_at, revoked_at, last_used_at : float, optional
        Seconds since 1970.
    upload_quota_bytes : int, optional
        What its uploads may hold in the server's landing area; None: what the disk takes.
    upload_held_bytes : int
        What they hold; counted only with a quota.
    good : bool
        Whether it opens anything now.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...] | None = None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    upload_quota_bytes: int | None = None
    upload_held_bytes: int = 0
    good: bool


class NewTokenAnswer(TokenAnswer):
    """A new token with its secret, which nobody is told again."""

    secret: SecretStr


class OwnTokenAnswer(BaseModel):
    """What the token that asks is good for.

    Attributes
    ----------
    name : str
        In parentheses where it is none that was made by the API.
    scopes : tuple of str
        With those that they include.
    projects : tuple of str, optional
        None: all.
    expires_at : float, optional
        Seconds since 1970. None: never.
    is_asked_for : bool
        False: the server lets everybody do everything.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...] | None = None
    expires_at: float | None = None
    is_asked_for: bool


class TokenCalls:
    """The calls of `HasteClient` that are about tokens; they need one of scope ``admin``."""

    _connection: Connection

    def create_token(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        projects: Sequence[str] | None = None,
        expires_at: float | None = None,
        upload_quota_bytes: int | None = None,
    ) -> NewTokenAnswer:
        """Make a token.

        Parameters
        ----------
        name : str
            Never given before; the log of changes tells it.
        scopes : sequence of str
        projects : sequence of str, optional
            Streams that it makes belong to the first. None: all.
        expires_at : float, optional
            Seconds since 1970. None: never.
        upload_quota_bytes : int, optional
            What its uploads may hold in the server's landing area. None: what the disk takes.

        Raises
        ------
        ConflictError
            If there is, or was, a token of this name.
        OutcomeUnknownError
            If the answer was lost: revoke the token, and make another.
        """
        body = {
            "name": name,
            "scopes": list(scopes),
            "projects": projects and list(projects),
            "expires_at": expires_at,
            "upload_quota_bytes": upload_quota_bytes,
        }
        answer = self._connection.post_at_most_once("/HASTE/tokens/", body)
        return NewTokenAnswer.model_validate(answer)

    def tokens(self) -> Iterator[TokenAnswer]:
        """Go through all tokens, revoked ones included.

        Yields
        ------
        TokenAnswer
        """
        for token in self._connection.pages("/HASTE/tokens/", "tokens", limit=_PAGE):
            yield TokenAnswer.model_validate(token)

    def own_token(self) -> OwnTokenAnswer:
        """Tell what this client's token is good for."""
        return OwnTokenAnswer.model_validate(self._connection.get("/HASTE/tokens/own"))

    def revoke_token(self, name: str) -> TokenAnswer:
        """Let a token open nothing any more.

        Parameters
        ----------
        name : str

        Returns
        -------
        TokenAnswer

        Raises
        ------
        NotFoundError
            If there is none of this name.
        """
        path = f"/HASTE/token/{quote(name, safe='')}/revoke"
        return TokenAnswer.model_validate(self._connection.post(path))

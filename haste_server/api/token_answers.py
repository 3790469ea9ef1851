"""What the API answers about tokens, for its OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, Field

from haste_core.tokens import Scope


class TokenAnswer(BaseModel):
    """A token, without its secret."""

    name: str
    scopes: list[Scope]
    projects: list[str] | None = Field(description="Null: all.")
    created_at: float
    expires_at: float | None = Field(description="Null: never.")
    revoked_at: float | None
    last_used_at: float | None = Field(description="At most a minute old.")
    upload_quota_bytes: int | None = Field(
        description="What its uploads may hold in the landing area. Null: what the disk takes."
    )
    upload_held_bytes: int = Field(description="What they hold; counted only with a quota.")
    good: bool = Field(description="Whether it opens anything now.")


class NewTokenAnswer(TokenAnswer):
    """A new token."""

    secret: str = Field(description="What to show as a bearer token. It is told this once.")


class OwnTokenAnswer(BaseModel):
    """What the token that asks is good for."""

    name: str = Field(description="In parentheses where it is none that was made by this API.")
    scopes: list[Scope] = Field(description="With those that they include.")
    projects: list[str] | None = Field(description="Null: all.")
    expires_at: float | None = Field(description="Null: never.")
    is_asked_for: bool = Field(description="False: the server lets everybody do everything.")


class TokensPage(BaseModel):
    """A part of the list of tokens."""

    tokens: list[TokenAnswer]
    next: str | None

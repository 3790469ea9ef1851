"""Tokens: make, list, revoke."""

from __future__ import annotations

import secrets
from typing import Any

from flask_openapi3.models.tag import Tag

from haste_core.errors import InvalidError, Problem
from haste_core.tokens import NewToken, TokenRecord, sha256_of
from haste_server.api.answers import Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.bodies import WantedToken
from haste_server.api.parameters import PageQuery, TokenPath
from haste_server.api.problems import documented
from haste_server.api.services import present_caller, services
from haste_server.api.token_answers import NewTokenAnswer, OwnTokenAnswer, TokenAnswer, TokensPage

_SECRET_BYTES = 32  # nobody can guess them, so that their hash needs no salt and no slowness

blueprint = Blueprint(
    "tokens",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="tokens", description="Who may ask for what")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


@blueprint.post(
    "/tokens/",
    summary="Make a token",
    description="Its secret is told in this answer only: the server keeps no more than a hash of it.",
    responses={201: NewTokenAnswer, **documented(408, 409, 413, 415)},
)
def create(body: WantedToken) -> Shown:
    """Make a token."""
    now = services().clock()
    if body.expires_at is not None and body.expires_at <= now:
        raise InvalidError([Problem("expires_at", "is over already")])
    secret = f"haste_{secrets.token_urlsafe(_SECRET_BYTES)}"
    scopes, projects = tuple(dict.fromkeys(body.scopes)), body.projects
    wanted = NewToken(
        name=body.name,
        scopes=scopes,
        projects=None if projects is None else tuple(dict.fromkeys(projects)),
        expires_at=body.expires_at,
        upload_quota_bytes=body.upload_quota_bytes,
    )
    record = services().tokens.add_token(wanted, sha256_of(secret), now=now)
    return {**_show(record), "secret": secret}, 201, {"Cache-Control": "no-store"}


@blueprint.get("/tokens/", summary="List tokens", responses={200: TokensPage})
def list_tokens(query: PageQuery) -> Shown:
    """List all tokens, without their secrets."""
    page = services().tokens.tokens(cursor=query.cursor, limit=query.limit)
    return {"tokens": [_show(record) for record in page.items], "next": page.next}


@blueprint.get(
    "/tokens/own",
    summary="Show the token that asks",
    description="What it is good for. Also where the server asks for none: `is_asked_for` is false then.",
    responses={200: OwnTokenAnswer},
)
def own() -> Shown:
    """Tell who asks what their token is good for."""
    caller = present_caller()
    assert caller is not None  # no request comes here that was not admitted
    return {
        "name": caller.name,
        "scopes": sorted(scope.value for scope in caller.scopes),
        "projects": None if caller.projects is None else list(caller.projects),
        "expires_at": caller.expires_at,
        "is_asked_for": services().token is not None,
    }


@blueprint.post(
    "/token/<name>/revoke",
    summary="Revoke a token",
    description="It opens nothing any more, after two seconds at most; those who follow events by it hear no "
    "more. Repeated, it changes nothing.",
    responses={200: TokenAnswer, **documented(404)},
)
def revoke(path: TokenPath) -> Shown:
    """Let a token open nothing any more."""
    record = services().tokens.revoke_token(path.name, now=services().clock())
    services().credentials.forget(record.token_id)
    return _show(record)


def _show(record: TokenRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "scopes": [scope.value for scope in record.scopes],
        "projects": None if record.projects is None else list(record.projects),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
        "upload_quota_bytes": record.upload_quota_bytes,
        "upload_held_bytes": record.upload_held_bytes,
        "good": record.is_good(services().clock()),
    }

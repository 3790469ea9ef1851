"""The log of changes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from haste_server.api.answers import Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.parameters import PageQuery
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = Blueprint(
    "audits",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="audit", description="Who has changed what")],
    abp_responses=documented(400, 401, 403, 429, 503),
)


class AuditQuery(PageQuery):
    """Which part of the log is wanted.

    Attributes
    ----------
    who : str, optional
        The name of a token.
    """

    who: Annotated[str, Field(max_length=110)] | None = None


class AuditAnswer(BaseModel):
    """A change that somebody asked for, and that was made."""

    entry_id: int
    made_at: float
    who: str = Field(
        description="The name of the token; in brackets: none of the store; after `proxy:`: a proxy's user."
    )
    address: str
    action: str
    target: str
    details: str = Field(description="What was asked for, as JSON; cut short if it is long.")


class AuditPage(BaseModel):
    """A part of the log of changes, the latest first."""

    entries: list[AuditAnswer]
    next: str | None


@blueprint.get("/audit/", summary="List who has changed what", responses={200: AuditPage})
def list_entries(query: AuditQuery) -> Shown:
    """List changes, the latest first."""
    page = services().audit.audit(who=query.who, cursor=query.cursor, limit=query.limit)
    return {"entries": [asdict(entry) for entry in page.items], "next": page.next}

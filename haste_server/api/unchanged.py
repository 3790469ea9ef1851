"""Answers that are not sent again to who has them."""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, Response, request
from flask_openapi3.models.parameter import Parameter
from flask_openapi3.models.response import Response as DescribedResponse
from flask_openapi3.openapi import OpenAPI

from haste_server.api.security import operations_of

_READING = ("GET", "HEAD")
_TAGGED = frozenset(
    {
        "jobs.list_jobs",
        "jobs.show",
        "objects.decisions",
        "objects.decisions_about",
        "objects.images",
        "objects.targets",
        "openapi",
        "streams.list_streams",
        "streams.pipelines",
        "streams.show",
        "streams.sources",
    }
)
"""Operations that programs ask for again and again, or whose answers are long."""

_ASKED = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of the answer that is there.",
    "required": False,
    "schema": {"type": "string"},
}


def tag_answers(app: Flask) -> None:
    """Have an application give some answers tags by what they say, and send them once only."""
    app.after_request(_tag)


def describe_tags(app: OpenAPI) -> None:
    """Say so at these operations."""
    unchanged = DescribedResponse(description="It is what `If-None-Match` names.")
    for endpoint, operation in operations_of(app):
        known = {parameter.name for parameter in operation.parameters or ()}
        if endpoint in _TAGGED and "If-None-Match" not in known:  # blueprints may have been described before
            operation.parameters = [*(operation.parameters or ()), Parameter.model_validate(_ASKED)]
            operation.responses = {
                **(operation.responses or {}),
                str(HTTPStatus.NOT_MODIFIED.value): unchanged,
            }


def _tag(answer: Response) -> Response:
    if request.method in _READING and request.endpoint in _TAGGED and answer.status_code == HTTPStatus.OK:
        answer.add_etag()
        # To be asked for each time, and kept by nobody who stands between: it is for who showed the token.
        answer.headers["Cache-Control"] = "private, no-cache"
        answer.make_conditional(request)
    return answer

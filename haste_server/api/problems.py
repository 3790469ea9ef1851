"""What goes wrong, as RFC 9457 problem documents. No stack trace leaves the server."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Flask, Response, request
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import HTTPException, NotFound

from haste_core.errors import (
    ConflictError,
    HasteError,
    InvalidError,
    NotFoundError,
    Problem,
    TransientError,
)
from haste_core.findings import problems_of
from haste_core.upload_quotas import UploadQuotaError
from haste_core.uploads import (
    ChecksumMismatchError,
    UploadGoneError,
    UploadHeldError,
    UploadTooLargeError,
)
from haste_server.api.problem_codes import CHECKSUM_MISMATCH, STATUSES, ProblemCode, code_of

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_NO_SUCH_CALL = "there is no such address; the page /api lists the calls, all below /HASTE"

# The kinds that are special cases of others stand before these.
_CODES: Mapping[type[HasteError], ProblemCode] = {
    UploadGoneError: ProblemCode.UPLOAD_GONE,
    UploadHeldError: ProblemCode.UPLOAD_HELD,
    UploadTooLargeError: ProblemCode.TOO_LARGE,
    # Senders wait at this one, and give a single file up at 413: there may be room again.
    UploadQuotaError: ProblemCode.QUOTA_FULL,
    ChecksumMismatchError: ProblemCode.CHECKSUM_MISMATCH,
    InvalidError: ProblemCode.INVALID,
    NotFoundError: ProblemCode.NOT_FOUND,
    ConflictError: ProblemCode.CONFLICT,
    TransientError: ProblemCode.UNAVAILABLE,
}
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# Of a share that is away, a disk that was mounted for reading only, rights that somebody took away.
_AWAY = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EIO,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ESTALE,
        errno.ENODEV,
    }
    | {errno.EMFILE, errno.ENFILE}
)


_LATER = {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}}}
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    HTTPStatus.TOO_MANY_REQUESTS: _LATER,
    HTTPStatus.SERVICE_UNAVAILABLE: _LATER,
}
"""What answers tell beside problem documents."""


class FieldProblem(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="The field, as a path into the JSON; empty for the whole.")
    what: str


class ProblemDocument(BaseModel):
    """Why a request was not done (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    code: ProblemCode = Field(description="What is the matter, for programs: it stays as it is.")
    detail: str
    problems: list[FieldProblem] | None = Field(
        default=None, description="With status 400: every problem of the request."
    )


def documented(*statuses: int) -> ResponseDict:
    """Describe problem documents as possible answers, for OpenAPI."""
    schema = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        status: {
            "description": _phrase(status),
            "content": {CONTENT_TYPE: {"schema": schema}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in statuses
    }


def refuse_invalid(error: ValidationError) -> NoReturn:
    """Turn pydantic's findings about a request into ours."""
    raise InvalidError(problems_of(error)) from error


def register_problems(app: Flask) -> None:
    """Answer every error of an application with a problem document."""
    app.register_error_handler(HasteError, _explained)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(OSError, _storage_trouble)
    app.register_error_handler(Exception, _unexpected)


def _explained(error: HasteError) -> Response:
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    if code is None:
        return _unexpected(error)
    problems = error.problems if isinstance(error, InvalidError) else None
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, TransientError) else {}
    return _document(code, str(error), problems=problems, headers=headers)


def _refused(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error  # a redirection
    kept = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    detail = _NO_SUCH_CALL if error.description == NotFound.description else error.description or ""
    return _document(code_of(error), detail, status=error.code, headers=kept)


def _storage_trouble(error: OSError) -> Response:
    if error.errno in _NO_SPACE:
        logger.error("no space is left", extra={"action": "storage_full", "path": error.filename})
        detail = "the server's disk is full: free some space in its landing area, then send again"
        return _document(ProblemCode.DISK_FULL, detail)
    if isinstance(error, TimeoutError):
        return _document(ProblemCode.BODY_STOPPED, "the body stopped coming")
    if error.errno in _AWAY:
        logger.error(
            "a folder cannot be used",
            extra={"action": "storage_away", "path": error.filename},
            exc_info=error,
        )
        detail = f"the server's landing area cannot be used now ({error.strerror}); its log says which folder"
        return _document(ProblemCode.STORAGE_AWAY, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    logger.error(
        "a request failed",
        exc_info=error,
        extra={"action": "request_failed", "method": request.method, "path": request.path},
    )
    detail = "the server failed at this request; its log says why"
    return _document(ProblemCode.FAILED, detail)


def _phrase(status: int) -> str:
    return "Checksum Mismatch" if status == CHECKSUM_MISMATCH else HTTPStatus(status).phrase


def _document(
    code: ProblemCode,
    detail: str,
    *,
    status: int | None = None,
    problems: Sequence[Problem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    status = STATUSES[code] if status is None else status
    document = ProblemDocument(
        title=_phrase(status),
        status=status,
        code=code,
        detail=detail,
        problems=None if problems is None else [FieldProblem(where=p.where, what=p.what) for p in problems],
    )
    body = json.dumps(document.model_dump(exclude_none=True))
    return Response(body, status=status, content_type=CONTENT_TYPE, headers=headers)

"""By which codes programs tell problems apart. They stay as they are; docs/rest.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from werkzeug.exceptions import HTTPException

CHECKSUM_MISMATCH = 460
"""A status of the tus protocol."""


class ProblemCode(StrEnum):
    """What is the matter, for programs."""

    INVALID = "invalid"
    TOKEN_MISSING = "token-missing"  # noqa: S105 - no password
    TOKEN_REFUSED = "token-refused"  # noqa: S105
    SCOPE_MISSING = "scope-missing"
    PROJECT_LIMITED = "project-limited"
    USER_UNKNOWN = "user-unknown"
    WRONG_HOST = "wrong-host"
    FOREIGN_PAGE = "foreign-page"
    OLD_PAGE = "old-page"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    BODY_STOPPED = "body-stopped"
    CONFLICT = "conflict"
    UPLOAD_GONE = "upload-gone"
    TUS_VERSION = "tus-version"
    TAG_UNKNOWN = "tag-unknown"
    TOO_LARGE = "too-large"
    WRONG_CONTENT_TYPE = "wrong-content-type"
    UPLOAD_HELD = "upload-held"
    TOO_MANY_WRONG_TOKENS = "too-many-wrong-tokens"
    CHECKSUM_MISMATCH = "checksum-mismatch"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    STORAGE_AWAY = "storage-away"
    DISK_FULL = "disk-full"
    QUOTA_FULL = "quota-full"
    REFUSED = "refused"


STATUSES: Mapping[ProblemCode, int] = {
    ProblemCode.INVALID: 400,
    ProblemCode.TOKEN_MISSING: 401,
    ProblemCode.TOKEN_REFUSED: 401,
    ProblemCode.SCOPE_MISSING: 403,
    ProblemCode.PROJECT_LIMITED: 403,
    ProblemCode.USER_UNKNOWN: 403,
    ProblemCode.WRONG_HOST: 403,
    ProblemCode.FOREIGN_PAGE: 403,
    ProblemCode.OLD_PAGE: 403,
    ProblemCode.NOT_FOUND: 404,
    ProblemCode.METHOD_NOT_ALLOWED: 405,
    ProblemCode.BODY_STOPPED: 408,
    ProblemCode.CONFLICT: 409,
    ProblemCode.UPLOAD_GONE: 410,
    ProblemCode.TUS_VERSION: 412,
    ProblemCode.TAG_UNKNOWN: 412,
    ProblemCode.TOO_LARGE: 413,
    ProblemCode.WRONG_CONTENT_TYPE: 415,
    ProblemCode.UPLOAD_HELD: 423,
    ProblemCode.TOO_MANY_WRONG_TOKENS: 429,
    ProblemCode.CHECKSUM_MISMATCH: CHECKSUM_MISMATCH,
    ProblemCode.FAILED: 500,
    ProblemCode.UNAVAILABLE: 503,
    ProblemCode.STORAGE_AWAY: 503,
    ProblemCode.DISK_FULL: 507,
    ProblemCode.QUOTA_FULL: 507,
}
"""The status that goes with each; `ProblemCode.REFUSED` stands for any other one."""

# What the web framework refuses by itself; a status that several codes have is ours.
_OF_FRAMEWORK = {
    status: code for code, status in STATUSES.items() if list(STATUSES.values()).count(status) == 1
}


class RefusedError(HTTPException):
    """A request is refused.

    Parameters
    ----------
    problem : ProblemCode
    detail : str
    headers : mapping of str to str, optional
        For the answer.
    """

    def __init__(self, problem: ProblemCode, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = STATUSES[problem]
        self.problem = problem
        self._headers = dict(headers or {})

    def get_headers(self, *given: Any, **named: Any) -> list[tuple[str, str]]:
        """List the answer's headers."""
        return [*super().get_headers(*given, **named), *self._headers.items()]


def code_of(error: HTTPException) -> ProblemCode:
    """Tell the code of what was refused, by us or by the web framework."""
    if isinstance(error, RefusedError):
        return error.problem
    return _OF_FRAMEWORK.get(error.code or 0, ProblemCode.REFUSED)

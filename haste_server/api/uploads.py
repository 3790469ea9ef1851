"""Uploads that can be gone on with, by the tus protocol 1.0.0: https://tus.io/protocols/resumable-upload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO

from flask import Response, request, url_for
from flask_openapi3.models.tag import Tag
from werkzeug.http import http_date

from haste_core.errors import InvalidError, Problem
from haste_core.uploads import CHECKSUMS, Checksum, Upload
from haste_server.api.answers import Shown, UploadAnswer
from haste_server.api.blueprints import Blueprint
from haste_server.api.parameters import TUS_VERSION as VERSION
from haste_server.api.parameters import (
    AppendHeaders,
    CreateHeaders,
    OverrideHeaders,
    TusHeaders,
    UploadPath,
)
from haste_server.api.problem_codes import CHECKSUM_MISMATCH, ProblemCode, RefusedError
from haste_server.api.problems import documented
from haste_server.api.requests import body_ender, bound_silence
from haste_server.api.services import services, upload_quota

EXTENSIONS = ("creation", "creation-with-upload", "checksum", "expiration", "termination")
PIECE = "application/offset+octet-stream"

blueprint = Blueprint(
    "uploads",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="uploads", description="Files, by the tus protocol 1.0.0")],
    abp_responses=documented(400, 401, 403, 408, 412, 423, 429, 503, 507),
)

_PIECE_BODY = {
    "required": False,
    "content": {PIECE: {"schema": {"type": "string", "format": "binary"}}},
}
_NOT_OFFERED = {
    "Upload-Concat": "send the file as one upload; a connection that breaks costs nothing",
    "Upload-Defer-Length": "tell the file's size in Upload-Length",
}
_APPENDED = documented(404, 409, 410, 413, 415, CHECKSUM_MISMATCH)


@blueprint.before_request
def _check_version() -> None:
    if request.method not in ("OPTIONS", "GET") and request.headers.get("Tus-Resumable") != VERSION:
        told = f"send 'Tus-Resumable: {VERSION}', as a client of this protocol does"
        raise RefusedError(ProblemCode.TUS_VERSION, told)


@blueprint.before_request
def _refuse_other_extensions() -> None:
    # Ignored, a part would become a file of its own.
    for header, remedy in _NOT_OFFERED.items():
        if request.method == "POST" and header in request.headers:
            raise InvalidError([Problem(header, f"is not offered by this server: {remedy}")])


@blueprint.after_request
def _tell_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        response.headers["Tus-Version"] = VERSION
    return response


def offered(**_: str) -> Response:
    """Tell what of the protocol there is; clients ask by OPTIONS."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(services().limits.upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status=204, headers=headers)


for _name, _address in {"offered": "/files/", "offered_of_one": "/files/<upload_id>"}.items():
    blueprint.add_url_rule(_address, _name, offered, methods=["OPTIONS"], provide_automatic_options=False)


@blueprint.post(
    "/files/",
    summary="Begin an upload",
    description="With `sha256` in its metadata, one that was begun before is found: `Upload-Offset` tells "
    "from where to go on, and is the file's length if the server has it.",
    responses={201: UploadAnswer, **documented(409, 413, 415, CHECKSUM_MISMATCH)},
    openapi_extensions={"requestBody": _PIECE_BODY},
)
def create(header: CreateHeaders) -> Shown:
    """Begin an upload; a body is its first piece."""
    checksum = _checksum(header.upload_checksum)
    uploads = services().uploads
    if request.mimetype == PIECE:
        with _receiving() as body:
            upload = uploads.create(header.upload_length, header.upload_metadata, quota=upload_quota())
            if upload.offset == 0 < upload.length:
                upload = uploads.append(upload.upload_id, body, offset=0, checksum=checksum)
    else:
        upload = uploads.create(header.upload_length, header.upload_metadata, quota=upload_quota())
    location = url_for("uploads.show", upload_id=upload.upload_id)
    return _shown(upload), 201, {"Location": location, **_headers(upload)}


@blueprint.get(
    "/files/<upload_id>",
    summary="Show an upload",
    description="HEAD tells in headers how far it is; `HASTE-Place` and `HASTE-Job-Id` what became of it.",
    responses={200: UploadAnswer, **documented(404, 410, CHECKSUM_MISMATCH)},
)
def show(path: UploadPath) -> Shown:
    """Tell how an upload stands."""
    upload = services().uploads.look(path.upload_id)
    return _shown(upload), 200, {**_headers(upload), "Upload-Metadata": upload.header}


@blueprint.patch(
    "/files/<upload_id>",
    summary="Go on with an upload",
    description="With the last byte the file lands, and its job is there.",
    responses={204: None, **_APPENDED},
    openapi_extensions={"requestBody": _PIECE_BODY},
)
def append(path: UploadPath, header: AppendHeaders) -> Shown:
    """Append a piece to an upload."""
    return _appended(path.upload_id, header)


@blueprint.delete(
    "/files/<upload_id>",
    summary="Forget an upload",
    description="A file that is whole stays, and so does its job.",
    responses={204: None, **documented(404, 410)},
)
def terminate(path: UploadPath, header: TusHeaders) -> Shown:  # noqa: ARG001 - it is described so
    """Forget an upload, and what has come of it."""
    services().uploads.remove(path.upload_id)
    return "", 204


@blueprint.post(
    "/files/<upload_id>",
    summary="Go on with an upload, or forget it",
    description="For clients that cannot send PATCH and DELETE: they name it in `X-HTTP-Method-Override`.",
    responses={204: None, **_APPENDED},
    openapi_extensions={"requestBody": _PIECE_BODY},
)
def overridden(path: UploadPath, header: OverrideHeaders) -> Shown:
    """Do what another method stands for."""
    if header.method == "DELETE":
        services().uploads.remove(path.upload_id)
        return "", 204
    if header.upload_offset is None:
        raise InvalidError([Problem("Upload-Offset", "is required")])
    return _appended(path.upload_id, header)


def _appended(upload_id: str, header: AppendHeaders | OverrideHeaders) -> Shown:
    if request.mimetype != PIECE:
        told = f"send a piece of the file with 'Content-Type: {PIECE}'"
        raise RefusedError(ProblemCode.WRONG_CONTENT_TYPE, told)
    assert header.upload_offset is not None
    checksum = _checksum(header.upload_checksum)
    with _receiving() as body:
        upload = services().uploads.append(upload_id, body, offset=header.upload_offset, checksum=checksum)
    return "", 204, _headers(upload)


def _checksum(header: str | None) -> Checksum | None:
    return None if header is None else Checksum.parse(header)


@contextmanager
def _receiving() -> Iterator[IO[bytes]]:
    limits = services().limits
    request.max_content_length = limits.upload_bytes
    bound_silence(limits.upload_silence_s)
    with services().upload_slots.hold(request.stream, hang_up=body_ender()) as body:
        yield body


def _headers(upload: Upload) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
        "Upload-Expires": http_date(upload.expires_at),
    }
    if upload.place is not None and upload.is_finished:
        headers["HASTE-Place"] = upload.place.model_dump_json(exclude_none=True)
    if upload.job_id is not None:
        headers["HASTE-Job-Id"] = str(upload.job_id)
    return headers


def _shown(upload: Upload) -> dict[str, object]:
    place = upload.place if upload.is_finished else None
    return {
        "upload_id": upload.upload_id,
        "length": upload.length,
        "offset": upload.offset,
        "is_finished": upload.is_finished,
        "expires_at": upload.expires_at,
        "place": None if place is None else place.model_dump(exclude_none=True),
        "job_id": upload.job_id,
    }

"""Uploads: files stream through to the landing area, whatever their size."""

from __future__ import annotations

import base64
import re

from flask import request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from haste_server.api.answers import Shown, StoredFile
from haste_server.api.parameters import FilePath, UploadHeaders
from haste_server.api.problems import documented
from haste_server.api.services import services

blueprint = APIBlueprint(
    "files",
    __name__,
    url_prefix="/HASTE",
    abp_tags=[Tag(name="files", description="Uploads")],
    abp_responses=documented(400, 401, 403, 503),
)

_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_ANY_CONTENT = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@blueprint.put(
    "/files/<stream_id>/<path:name>",
    summary="Upload a file",
    description="Files are kept by their content: the same content again is answered with 200.",
    responses={200: StoredFile, 201: StoredFile, **documented(408, 413, 507)},
    openapi_extensions={"requestBody": _ANY_CONTENT},
)
def upload(path: FilePath, header: UploadHeaders) -> Shown:
    """Store a file in the landing area."""
    request.max_content_length = services().limits.upload_bytes
    with services().upload_slot():
        place, is_new = services().landing.receive(
            request.stream, stream_id=path.stream_id, name=path.name, sha256=_sha256(header.repr_digest)
        )
    return {"place": place.model_dump(exclude_none=True)}, 201 if is_new else 200


def _sha256(digest: str) -> str:
    found = _SHA256.search(digest)
    assert found is not None  # the header's pattern asks for it
    return base64.b64decode(found[1]).hex()

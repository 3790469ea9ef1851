"""The call of the original HASTE agent, which sends each image in one request."""

from __future__ import annotations

import re

from flask import request
from flask_openapi3.models.tag import Tag

from haste_core.errors import NotFoundError
from haste_core.pipelines import Pipeline
from haste_core.uploads import UploadMetadata, metadata_header
from haste_core.windows_paths import plain
from haste_server.api import streams
from haste_server.api.answers import AgentAnswer, Shown
from haste_server.api.blueprints import Blueprint
from haste_server.api.parameters import AgentHeaders, AgentPath
from haste_server.api.problem_codes import ProblemCode, RefusedError
from haste_server.api.problems import documented
from haste_server.api.requests import body_ender
from haste_server.api.services import services, upload_quota

_MAX_NAME = 255

blueprint = Blueprint(
    "agent",
    __name__,
    abp_tags=[Tag(name="agent", description="What the original HASTE agent asks")],
)

ENDPOINTS = frozenset({"agent.receive", "streams.receive"})
_REFUSALS = documented(400, 401, 403, 408, 409, 412, 413, 429, 503, 507)
_IMAGE = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


def receive(path: AgentPath, header: AgentHeaders) -> Shown:
    """Take an image, and make a job of it in the stream that the agent names."""
    tag, original = _as_sent(header.tag), _as_sent(header.original_filename)
    pipeline = _pipeline(tag)
    said = {
        "stream_id": path.stream_id,
        "source_id": _name_in_stream(original),
        "filename": _base_name(original),
        "timestamp": header.unixtime,
        "metadata": {"original_filename": original, "tag": tag},
    }
    said_header = metadata_header(said)
    UploadMetadata.parse(said_header)  # an image that cannot be taken makes no stream
    request.max_content_length = services().limits.upload_bytes
    with services().upload_slots.hold(request.stream, hang_up=body_ender()) as body:
        _join(path.stream_id, pipeline)
        services().uploads.take(body, said_header, length=request.content_length, quota=upload_quota())
    return {"result": "OK!"}


# Below /HASTE, only the blueprint that describes the address's other calls can describe this one, too.
for offering in (blueprint, streams.blueprint):
    offering.post(
        "/stream/<stream_id>",
        summary="Send an image as the original agent does",
        description="With basic authentication: any user name, and the server's token as the password. "
        "The server's setting `agent_tags` says which pipeline a tag starts.",
        responses={200: AgentAnswer, **_REFUSALS},
        openapi_extensions={"requestBody": _IMAGE},
        operation_id=f"{offering.name}_receive",
        endpoint="receive",
    )(receive)


def _as_sent(header: str) -> str:
    """Read a header as UTF-8, which the agent writes, and not as Latin-1, as which servers hand it on."""
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _pipeline(tag: str) -> Pipeline:
    tags = services().agent_tags
    if tag not in tags:
        known = ", ".join(sorted(tags)) or "none"
        raise RefusedError(
            ProblemCode.TAG_UNKNOWN,
            f"the tag {tag[:100]!r} is not known here (known: {known}): name its pipeline under "
            "`agent_tags:` in the server's settings",
        )
    return services().pipelines[tags[tag]]


def _join(stream_id: str, pipeline: Pipeline) -> None:
    """Create the agent's stream, unless it is there; what was changed of it since, stays."""
    try:
        services().streams.stream(stream_id)
    except NotFoundError:
        services().streams.create_stream(stream_id, pipeline, None, now=services().clock())


def _name_in_stream(original: str) -> str:
    """Name an object by its path at the agent's PC; of one that is too long, by its end."""
    parts = [part for part in re.split(r"[/\\]", plain(original)) if part not in ("", ".", "..")]
    if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
        del parts[0]
    return "/".join(parts)[-_MAX_NAME:].lstrip("/")


def _base_name(original: str) -> str:
    return re.split(r"[/\\]", original)[-1]

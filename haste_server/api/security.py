"""What the OpenAPI document says about tokens: the scope of each operation, by the table that admits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask_openapi3.models.operation import Operation
from flask_openapi3.openapi import OpenAPI

from haste_server.api.agent import ENDPOINTS as AGENTS
from haste_server.api.scopes import OF_ALL_PROJECTS, wanted_by

TOKEN, AGENT_PASSWORD = "token", "agent"

SCHEMES = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the server. Its scopes: `read` looks; `submit` reads, submits, uploads "
        "and steers; `work` reads and uploads; `admin` does everything.",
    },
    AGENT_PASSWORD: {
        "type": "http",
        "scheme": "basic",
        "description": "A token as the password, with any user name, as the original agent shows it.",
    },
}


def describe_security(app: OpenAPI) -> None:
    """Say at each operation which scope it asks for."""
    for endpoint, operation in operations_of(app):
        wanted = sorted(wanted_by(endpoint))
        schemes = (TOKEN, AGENT_PASSWORD) if endpoint in AGENTS else (TOKEN,)
        # One of them is enough; an empty list is for all.
        operation.security = [{scheme: [scope.value]} for scheme in schemes for scope in wanted]
        told, sentence = operation.description or "", _sentence(endpoint)
        if not told.endswith(sentence):  # another application in this process may have the same blueprints
            operation.description = f"{told} {sentence}".strip()


def operations_of(app: OpenAPI) -> Iterator[tuple[str, Operation]]:
    """Go through the described operations, each with its endpoint."""
    for rule in app.url_map.iter_rules():
        described = app.paths.get(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for method in rule.methods or () if described is not None else ():
            operation = getattr(described, method.lower(), None)
            if operation is not None:
                yield rule.endpoint, operation


def _sentence(endpoint: str) -> str:
    scopes = " or ".join(f"`{scope.value}`" for scope in sorted(wanted_by(endpoint)))
    if not scopes:
        return "Open to all: no token is asked for."
    whose = ", for all projects" if endpoint in OF_ALL_PROJECTS else ""
    return f"Asks for a token of scope {scopes}{whose}."

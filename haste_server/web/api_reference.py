"""The page that describes the API, by the OpenAPI document: to read, and to try."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from flask import Response, send_from_directory

from haste_server.web.pages import HEADERS, blueprint, show

_SWAGGER_UI = Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"
_KEPT_S = 3600.0
# The style sheet of Swagger UI holds its own icons.
_WITH_ICONS = HEADERS["Content-Security-Policy"] + "; img-src 'self' data:"


@blueprint.get("/api")
def api() -> Response:
    """Describe the API."""
    answer = show("api.html")
    answer.headers["Content-Security-Policy"] = _WITH_ICONS
    return answer


@blueprint.get("/page/swagger/<path:name>")
def swagger_file(name: str) -> Response:
    """Send a file of Swagger UI, which comes with this server."""
    return send_from_directory(_SWAGGER_UI, name, max_age=int(_KEPT_S))

"""The WSGI application."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any

import pydantic_core
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from haste_server.api import (
    agent,
    alerts,
    audits,
    bulk_actions,
    events,
    health,
    jobs,
    metrics,
    objects,
    priorities,
    streams,
    tasks,
    tiers,
    tokens,
    trashes,
    uploads,
    workers,
)
from haste_server.api.admission import admit
from haste_server.api.examples import describe_examples
from haste_server.api.problems import ProblemDocument, refuse_invalid, register_problems
from haste_server.api.requests import IdConverter, StrictRequest
from haste_server.api.security import SCHEMES, describe_security
from haste_server.api.services import Services
from haste_server.api.unchanged import describe_tags, tag_answers
from haste_server.authorship import begin_change

_MODULES = (
    jobs,
    tasks,
    priorities,
    bulk_actions,
    streams,
    objects,
    tiers,
    trashes,
    alerts,
    events,
    workers,
    tokens,
    audits,
    uploads,
    agent,
    health,
    metrics,
)
# Blueprints are the process's: two threads, or two applications, must not describe them at a time.
_describing = threading.Lock()


class _QuickJson(DefaultJSONProvider):
    """Writes answers in a third of the standard library's time; halves of surrogate pairs are refused."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return pydantic_core.to_json(obj).decode()


class HasteApp(OpenAPI):
    """A Flask application with strict requests and an OpenAPI 3.1 document, written when it is asked for."""

    request_class = StrictRequest
    json_provider_class = _QuickJson

    @property
    def api_doc(self) -> dict[str, Any]:
        """The OpenAPI document."""
        with _describing:
            if not self.spec_json:
                self._describe()
            document: dict[str, Any] = super().api_doc
        return document

    def _describe(self) -> None:
        for module in _MODULES:
            blueprint = module.blueprint
            blueprint.describe()
            self.tags += [tag for tag in blueprint.tags if tag not in self.tags]
            self.paths.update(blueprint.paths)
            self.components_schemas.update(blueprint.components_schemas)
        describe_security(self)
        describe_examples(self)
        describe_tags(self)


def create_app(given: Services) -> HasteApp:
    """Make the application around its services.

    Parameters
    ----------
    given : Services

    Returns
    -------
    HasteApp
        With its OpenAPI document at ``/openapi/openapi.json``.
    """
    app = HasteApp(
        __name__,
        info=Info(title="HASTE server", version=version("haste-server")),
        security_schemes=dict(SCHEMES),
        validation_error_status=400,
        validation_error_model=ProblemDocument,
        validation_error_callback=refuse_invalid,
        doc_ui=False,  # the pages have one that keeps to their rules
        static_folder=None,
    )
    app.add_url_rule("/openapi/openapi.json", "openapi", lambda: app.api_doc)
    app.config["MAX_CONTENT_LENGTH"] = given.limits.body_bytes
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # a source may be named with two slashes; no redirection
    app.url_map.converters["id"] = IdConverter
    given.install(app.extensions)
    register_problems(app)
    app.before_request(admit)
    tag_answers(app)
    app.teardown_request(lambda _: begin_change(None))
    for module in _MODULES:
        app.register_api(module.blueprint)
    return app

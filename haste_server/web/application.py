"""The whole application: the API, and the pages beside it."""

from __future__ import annotations

from haste_core.figures import FigureStore
from haste_server.api.app import HasteApp, create_app
from haste_server.api.services import Services
from haste_server.web import (  # noqa: F401 - each adds its pages
    admission,
    alerts,
    api_reference,
    job,
    job_actions,
    jobs,
    measurements,
    modes,
    new_job,
    pages,
    pictures,
    stream,
    streams,
    unchanged,
    what_if,
    workers,
)


def create_application(given: Services, figures: FigureStore) -> HasteApp:
    """Make the application around its services.

    Parameters
    ----------
    given : Services
    figures : FigureStore
        What only pages ask for.
    """
    app = create_app(given)
    pages.install(app, figures)
    pages.installed_in(app).environment.globals["picture_of_job"] = pictures.picture_of_job
    return app

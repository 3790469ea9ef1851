"""The small pictures of images, as browsers fetch them."""

from __future__ import annotations

from flask import make_response, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from haste_core.errors import NotFoundError
from haste_runtime.drawing import element
from haste_server.web.pages import blueprint, pages

_SIDE = 128  # of the placeholder, in SVG units
_FOR_GOOD = "private, max-age=31536000, immutable"


@blueprint.get("/job/<id:job_id>/picture")
def picture(job_id: int) -> Response:
    """Hand out the picture of an image; one whose address names its content is asked for once."""
    found = pages().figures.thumbnail(job_id)
    if found is None:
        raise NotFoundError(f"there is no picture of the image of job {job_id}")
    answer = make_response(found.jpeg)
    answer.content_type = "image/jpeg"
    answer.set_etag(found.digest)
    is_named = request.args.get("of") == found.digest
    answer.headers["Cache-Control"] = _FOR_GOOD if is_named else "private, no-cache"
    return answer.make_conditional(request)


def picture_of_job(job_id: int, name: str) -> Markup:
    """Write the picture of a job's image, for pages that list no images."""
    found = pages().figures.thumbnail(job_id)
    return picture_of(job_id, None if found is None else found.digest, name)


def picture_of(job_id: int, digest: str | None, name: str = "") -> Markup:
    """Write the picture of an image, or a quiet place where one would be.

    Parameters
    ----------
    job_id : int
    digest : str, optional
        Of the picture; None where there is none.
    name : str
        Of the image, where no text beside the picture tells it.
    """
    if digest is None:
        frame = element("rect", x=0, y=0, width=_SIDE, height=_SIDE)
        said = {"role": "img", "aria_label": f"No picture of {name}"} if name else {"aria_hidden": "true"}
        return element("svg", frame, viewBox=f"0 0 {_SIDE} {_SIDE}", class_="picture none", **said)
    address = url_for("pages.picture", job_id=job_id, of=digest)
    return Markup('<img class="picture" src="{}" alt="{}" loading="lazy" decoding="async">').format(
        address, name
    )

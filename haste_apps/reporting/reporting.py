"""Making a report: asking the server for all that it tells, and writing it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from haste_apps.interruption import Interruption
from haste_apps.output import print_json, say
from haste_apps.reporting.files import STDOUT, as_csv, as_json, as_parquet, check_free, write_whole
from haste_apps.reporting.page import Report, draw_page, pictures_in
from haste_apps.reporting.thumbnails import thumbnails
from haste_apps.suspicions import suspicions
from haste_client import HasteClient, Result
from haste_client.answers import ImageAnswer
from haste_client.progress import progress_bar
from haste_core.errors import InvalidError, Problem
from haste_core.routing import Roots

Item = TypeVar("Item")


def write_report(
    client: HasteClient,
    stream_id: str,
    format_: str,
    path: Path,
    *,
    force: bool = False,
    as_json: bool = False,
    interruption: Interruption,
) -> None:
    """Write the report of a stream into a file, and say so.

    Parameters
    ----------
    client : HasteClient
        Its roots tell where images are on this machine.
    stream_id : str
    format_ : {"html", "csv", "json", "parquet"}
    path : Path
        ``-`` is stdout.
    force : bool
        Replace a file that is there.
    as_json : bool
        Tell file and number of images as a JSON object on stdout.
    interruption : Interruption

    Raises
    ------
    ConflictError
        If the file is there, and is not to be replaced.
    InvalidError
        If both the report and the JSON object would go to stdout.
    """
    if as_json and path == STDOUT:
        raise InvalidError([Problem("--json", "goes to stdout, as does the report: choose another --output")])
    check_free(path, force=force)
    report = gather(client, stream_id, interruption=interruption)
    content = _written(report, format_, client.roots, interruption)
    write_whole(path, content, force=force)
    where = "" if path == STDOUT else f" in {path}"
    say(f"{len(report.images)} images of stream {stream_id}{where}")
    if as_json:
        print_json({"stream_id": stream_id, "file": str(path), "images": len(report.images)})


def write_page(
    client: HasteClient, stream_id: str, path: Path, *, title: str, interruption: Interruption
) -> None:
    """Write the report of a stream as a page with a title, in place of any that is there."""
    report = gather(client, stream_id, title=title, interruption=interruption)
    write_whole(path, _page(report, client.roots, interruption), force=True)


def gather(client: HasteClient, stream_id: str, *, title: str = "", interruption: Interruption) -> Report:
    """Ask a server for all that a report tells of a stream.

    Images that come while it is asked may be missing.
    """
    stream = client.stream(stream_id)
    with progress_bar(
        "asking",
        total=2 * (sum(tier.count for tier in stream.tiers.values()) + stream.deleted.count),
        shown=True,
    ) as bar:

        def heard(items: Iterable[Item]) -> Iterator[Item]:
            for item in items:
                interruption.check()
                bar.advance(1)
                yield item

        images = list(heard(client.images(stream_id, order="job")))
        decisions = list(heard(client.decisions(stream_id)))
    failed = [Result.of(job) for job in client.jobs(stream_id=stream_id, state="failed")]
    return Report(
        stream=stream,
        images=images,
        decisions=decisions,
        made_at=time.time(),
        title=title or stream_id,
        failures=[(one.source_id, one.message) for one in failed],
        warnings=suspicions([image.score for image in images], [image.features for image in images]),
    )


def _page(report: Report, roots: Roots, interruption: Interruption) -> bytes:
    """Draw the page, with pictures of the images that this machine can read."""
    draw = thumbnails(roots, report.stream.pipeline)
    with progress_bar("drawing", total=pictures_in(report.kept), shown=True) as bar:

        def drawn(image: ImageAnswer) -> bytes | None:
            interruption.check()
            bar.advance(1)
            return draw(image)

        return draw_page(report, drawn).encode()


def _written(report: Report, format_: str, roots: Roots, interruption: Interruption) -> bytes:
    if format_ == "html":
        return _page(report, roots, interruption)
    return {"csv": as_csv, "json": as_json, "parquet": as_parquet}[format_](report)

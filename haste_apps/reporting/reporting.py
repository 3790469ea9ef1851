"""Making a report: asking the server for all that it tells, and writing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from haste_apps.interruption import Interruption
from haste_apps.output import print_json, say
from haste_apps.reporting.files import (
    STDOUT,
    check_free,
    write_csv,
    write_json,
    write_parquet,
    write_whole,
)
from haste_apps.reporting.page import Report, draw_page, pictures_in
from haste_apps.reporting.spool import Spool
from haste_apps.reporting.thumbnails import thumbnails
from haste_apps.suspicions import suspicions
from haste_client import HasteClient, Result
from haste_client.answers import DecisionAnswer, ImageAnswer, StreamAnswer
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
    with gathered(client, stream_id, interruption=interruption) as report:
        write_whole(path, partial(_writer(format_, client.roots, interruption), report), force=force)
        count = len(report.images)
    where = "" if path == STDOUT else f" in {path}"
    say(f"{count} images of stream {stream_id}{where}")
    if as_json:
        print_json({"stream_id": stream_id, "file": str(path), "images": count})


def write_page(
    client: HasteClient, stream_id: str, path: Path, *, title: str, interruption: Interruption
) -> None:
    """Write the report of a stream as a page with a title, in place of any that is there."""
    with gathered(client, stream_id, title=title, interruption=interruption) as report:
        write_whole(path, partial(_writer("html", client.roots, interruption), report), force=True)


@contextmanager
def gathered(
    client: HasteClient, stream_id: str, *, title: str = "", interruption: Interruption
) -> Iterator[Report]:
    """Ask a server for all that a report tells of a stream, and keep it on disk while the block runs.

    Images that come while it is asked may be missing.
    """
    stream = client.stream(stream_id)
    check = interruption.check
    with Spool(ImageAnswer, check) as images, Spool(DecisionAnswer, check) as decisions:
        _fill(client, stream, images, decisions, interruption)
        yield Report(
            stream=stream,
            images=images,
            decisions=decisions,
            made_at=time.time(),
            title=title or stream_id,
            failures=[(one.source_id, one.message) for one in _failed(client, stream_id)],
        )


def _fill(
    client: HasteClient,
    stream: StreamAnswer,
    images: Spool[ImageAnswer],
    decisions: Spool[DecisionAnswer],
    interruption: Interruption,
) -> None:
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

        images.fill(heard(client.images(stream.stream_id, order="job")))
        decisions.fill(heard(client.decisions(stream.stream_id)))


def _failed(client: HasteClient, stream_id: str) -> Iterator[Result]:
    return map(Result.of, client.jobs(stream_id=stream_id, state="failed"))


def _writer(format_: str, roots: Roots, interruption: Interruption) -> Callable[[Report, BinaryIO], None]:
    def write_html(report: Report, sink: BinaryIO) -> None:
        scores, measured = (one.score for one in report.images), (one.features for one in report.images)
        of_sets = report.stream.pipeline.image_set is not None
        doubted = replace(report, warnings=suspicions(scores, measured, of_sets=of_sets))
        sink.write(_page(doubted, roots, interruption))

    return {"html": write_html, "csv": write_csv, "json": write_json, "parquet": write_parquet}[format_]


def _page(report: Report, roots: Roots, interruption: Interruption) -> bytes:
    """Draw the page, with pictures of the images that this machine can read."""
    draw = thumbnails(roots, report.stream.pipeline)
    with progress_bar("drawing", total=pictures_in(report.kept), shown=True) as bar:

        def drawn(image: ImageAnswer) -> bytes | None:
            interruption.check()
            bar.advance(1)
            return draw(image)

        return draw_page(report, drawn).encode()

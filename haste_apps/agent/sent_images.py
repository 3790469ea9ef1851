"""What the lab's server has confirmed, in a few bytes an image, so that its jobs here may leave."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from haste_apps.agent.following import Following, Sums, size_in, was_preprocessed
from haste_client.answers import JobAnswer, KnownSource
from haste_core.errors import InvalidError, NotFoundError, Problem, TransientError

JOBS_KEPT = 10_000
"""Confirmed images whose jobs stay, for the page and for looking things up: about 30 MB."""

_MOST_AT_ONCE = 50  # jobs that leave between two looks, so that nothing else waits for long

_TABLE = """
CREATE TABLE IF NOT EXISTS sent (
    stream_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    version TEXT NOT NULL,
    original_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    preprocessed INTEGER NOT NULL,
    PRIMARY KEY (source_id, version, stream_id)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class SentImage:
    """An image that the lab's server has confirmed, and whose job is still here."""

    job_id: int
    stream_id: str
    source_id: str
    version: str
    original_bytes: int
    sent_bytes: int
    preprocessed: bool


class SentImages:
    """The images whose jobs have left: a database of its own, which is written before they leave.

    Parameters
    ----------
    file : Path
        Made if it is missing.

    Raises
    ------
    TransientError
        If it cannot be used now, such as on a full disk.
    InvalidError
        If it is damaged.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._connection = _opened(file)
        except sqlite3.OperationalError as error:
            raise TransientError(f"{file} cannot be used now: {error}") from error
        except sqlite3.DatabaseError as error:
            what = f"{file} is damaged ({error}): move it away; its images are offered to the server again"
            raise InvalidError([Problem("data_dir", what)]) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def knows(self, source_id: str, version: str | None) -> bool:
        """Tell whether this very version of an image was confirmed, and its job has left."""
        query = "SELECT 1 FROM sent WHERE source_id = ? AND version = ?"
        return self._connection.execute(query, (source_id, version)).fetchone() is not None

    def count(self, stream_id: str) -> int:
        """Count the images of one of the agent's streams whose jobs have left."""
        query = "SELECT count(*) FROM sent WHERE stream_id = ?"
        return int(self._connection.execute(query, (stream_id,)).fetchone()[0])

    def sums(self) -> Sums:
        """Sum up all images whose jobs have left."""
        columns = "count(*), total(preprocessed), total(original_bytes), total(sent_bytes)"
        row = self._connection.execute(f"SELECT {columns} FROM sent").fetchone()  # noqa: S608 - ours
        return Sums(*map(int, row))

    def add(self, images: Iterable[SentImage]) -> bool:
        """Store images, all or none; they are on disk afterwards. False if that is not possible now."""
        rows = [
            (
                image.stream_id,
                image.source_id,
                image.version,
                image.original_bytes,
                image.sent_bytes,
                image.preprocessed,
            )
            for image in images
        ]
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError:
            return False
        return True


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # The jobs are gone afterwards, whatever happens to the power.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_TABLE)
    except BaseException:
        connection.close()  # a file that is open cannot be moved away on Windows
        raise
    return connection


class _Jobs(Protocol):
    def delete_job(self, job_id: int) -> None:
        """Forget a job."""

    def sources(self, stream_id: str) -> Iterable[KnownSource]:
        """Go through the images of a stream."""


class Departures:
    """Lets the jobs of images that were confirmed long ago leave the agent's own server.

    Parameters
    ----------
    jobs : HasteClient
        Of that server.
    sent : SentImages
    """

    def __init__(self, jobs: _Jobs, sent: SentImages) -> None:
        self._jobs = jobs
        self._sent = sent
        self._confirmed: dict[int, SentImage] = {}

    def finish(self, stream_id: str) -> int:
        """Let the jobs of a stream leave that were about to when the agent ended; count all its images."""
        staying = 0
        for source in self._jobs.sources(stream_id):
            if self._sent.knows(source.source_id, source.source_version):
                self._leave(source.job_id)
            else:
                staying += 1
        return staying + self._sent.count(stream_id)

    def take(self, job: JobAnswer) -> None:
        """Take in a job that has ended, and for which nothing is left to be done here."""
        told = job.response.get("upload") or {}
        if job.done and told.get("job_id") and job.source_version is not None:
            image = SentImage(
                job.job_id,
                job.stream_id,
                job.source_id,
                job.source_version,
                original_bytes=size_in(job.source_version),
                sent_bytes=told.get("size_bytes", 0),
                preprocessed=was_preprocessed(job),
            )
            self._confirmed.pop(job.job_id, None)  # somebody has had it done once more
            self._confirmed[job.job_id] = image

    def go_on(self, following: Following) -> None:
        """Let the jobs of the oldest images leave, if there are more than are kept."""
        surplus = max(0, min(len(self._confirmed) - JOBS_KEPT, _MOST_AT_ONCE))
        leaving = list(islice(self._confirmed, surplus))
        if leaving and not self._sent.add(self._confirmed[job_id] for job_id in leaving):
            return  # later, when there is room
        for job_id in leaving:
            self._leave(job_id)
            following.leave(job_id)
            del self._confirmed[job_id]

    def _leave(self, job_id: int) -> None:
        with suppress(NotFoundError):  # somebody has deleted it
            self._jobs.delete_job(job_id)

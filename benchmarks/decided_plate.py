"""A stream whose objects have all been decided about and lie in their tiers, straight to the database."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from haste_core.decisions import Decision
from haste_core.features.quality import QUALITY_FEATURES
from haste_core.jobspec import parse_job_spec
from haste_core.messages import Place
from haste_core.pipelines import Pipeline
from haste_core.states import Phase, TaskState
from haste_core.stores import DEFAULT_PROJECT
from haste_server.store.database import Database
from haste_server.store.decision_rows import About, Made, append
from haste_server.store.leaving import source_key
from haste_server.store.records import store_pipeline
from haste_server.store.schema import jobs, streams, tasks

STREAM = "plate"
SIZE_BYTES = 64 * 1024
_NOW = 1_790_000_000.0
_BATCH = 2000
_K, _X0 = 4.5, -1.4


@dataclass(frozen=True)
class DecidedPlate:
    """Objects with scores evenly spread over [0, 1], each in the tier of an interval policy.

    Attributes
    ----------
    count : int
    pipeline : Pipeline
        Scores by `logistic` of ``plls``.
    tiers : Path
        A folder with one folder for each tier.
    """

    count: int
    pipeline: Pipeline
    tiers: Path

    def score(self, number: int) -> float:
        """Return an object's score; neighbours in number are far apart in score."""
        return ((number * 7919) % self.count + 0.5) / self.count

    def tier(self, number: int) -> str:
        """Return the tier that an object lies in."""
        assert self.pipeline.policy is not None
        return self.pipeline.policy.tier_for(self.score(number))

    def file(self, number: int, tier: str) -> Path:
        """Return where an object lies, if it lies in a tier."""
        return self.tiers / tier / STREAM / _name(number)

    def write_files(self, numbers: Sequence[int]) -> None:
        """Write the files of some objects."""
        for number in numbers:
            file = self.file(number, self.tier(number))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_content(number))
        os.sync()

    def store(self, database_url: str) -> None:
        """Store the stream, which enforces, its jobs, and the decisions about their objects."""
        database = Database(database_url)
        sha256 = database.write(lambda connection: store_pipeline(connection, self.pipeline))
        stream = {
            "stream_id": STREAM,
            "pipeline_sha256": sha256,
            "first_pipeline_sha256": sha256,
            "mode": "enforce",
            "project": DEFAULT_PROJECT,
            "created_at": _NOW,
        }
        database.write(lambda connection: connection.execute(sa.insert(streams), stream))
        for start in range(0, self.count, _BATCH):
            some = range(start, min(start + _BATCH, self.count))
            database.write(lambda connection, some=some: self._store(database, connection, some))
        if not database.is_sqlite:
            with database.engine.connect() as connection:
                connection.exec_driver_sql("ANALYZE TABLE objects, decisions, tasks, jobs")
        database.close()

    def _store(self, database: Database, connection: sa.Connection, some: range) -> None:
        connection.execute(sa.insert(jobs), [self._job(number) for number in some])
        made = [self._made(number) for number in some]
        decision_ids = append(database, connection, made, now=_NOW)
        rows = list(self._tasks(some, decision_ids))
        connection.execute(sa.insert(tasks), rows)

    def _job(self, number: int) -> dict[str, Any]:
        spec = parse_job_spec(
            {
                "source_url": f"root://plate/{_name(number)}",
                "source_id": _name(number),
                "stream_id": STREAM,
                "index": number,
                "tasks": "tier",
                "response": {"focus-score": self._features(number)},
            }
        )
        return {
            "job_id": number + 1,
            "stream_id": STREAM,
            "source_id": _name(number),
            "source_version": None,
            "source_key": source_key(spec.source_url),
            "stream_index": number,
            "spec": spec.text,
            "state": TaskState.DONE,
            "priority": 1.0,
            "created_at": _NOW,
            "ended_at": _NOW,
        }

    def _tasks(self, some: range, decision_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        for number, decision_id in zip(some, decision_ids, strict=True):
            tier = self.tier(number)
            url = self.file(number, tier).as_uri()
            yield {
                "task_id": number + 1,
                "job_id": number + 1,
                "position": 0,
                "task_key": "tier",
                "site": "default",
                "state": TaskState.DONE,
                "phase": Phase.ENDED,
                "order_key": 0.0,
                "stream_index": number,
                "contended": False,
                "attempt": 1,
                "failures": 0,
                "losses": 0,
                "message": "",
                "response": {"tier": tier, "moved": True},
                "place": Place(url=url, site="default", sha256=_sha256(number), size_bytes=SIZE_BYTES),
                "decision_id": decision_id,
            }

    def _made(self, number: int) -> Made:
        about = About(number + 1, number + 1, STREAM, _name(number), {"metadata": self._metadata(number)})
        decision = Decision(
            self.score(number), self.tier(number), "written by a benchmark", "0" * 64, self._features(number)
        )
        return Made(about, decision, self.pipeline, "enforce")

    def _metadata(self, number: int) -> dict[str, Any]:
        field = number // 4
        return {
            "well": f"{'ABCDEFGH'[field % 8]}{field // 8 % 12 + 1:02}",
            "site": field // 96,
            "channel": ("DAPI", "GFP", "Cy5", "BF")[number % 4],
            "wanted": 1 - self.score(number),
        }

    def _features(self, number: int) -> dict[str, Any]:
        """Return what `focus-score` answers where a pipeline asks for all that it can measure."""
        score = self.score(number)
        return {
            "plls": _X0 + math.log(score / (1 - score)) / _K,
            "signal_fraction": score,
            "empty": False,
            "width": 2048,
            "height": 2048,
            "format": "TIFF",
            "dtype": "uint16",
            "bits": 16,
            "colour": False,
            "facts": {"channel_names": ["DAPI"], "stage_um": [1.5 * number, 2.5]},
            **{name: (index + score) / 3 for index, name in enumerate(sorted(QUALITY_FEATURES))},
            "noise_lift": 0.01 * score,
            "speck_lift": 0.02 * score,
            "pixels": "original",
            "sha256": _sha256(number),
            "size_bytes": SIZE_BYTES,
        }


def _name(number: int) -> str:
    return f"site{number:06}.tif"


def _content(number: int) -> bytes:
    return number.to_bytes(8, "little") * (SIZE_BYTES // 8)


def _sha256(number: int) -> str:
    return hashlib.sha256(_content(number)).hexdigest()

"""What a submission costs at least: a bare Flask route with one transaction that stores as much."""

import os
import time
from typing import Any

import sqlalchemy as sa
from flask import Flask, request

from benchmarks.floor_schema import jobs, tasks

engine = sa.create_engine(os.environ["BENCHMARK_DATABASE_URL"], pool_size=64, pool_reset_on_return=None)
app = Flask(__name__)


@app.post("/job/")
def submit() -> tuple[dict[str, Any], int]:
    """Store a job and its task."""
    spec = request.get_json()
    with engine.begin() as connection:
        job = {"stream_id": spec["stream_id"], "source_id": spec["source_id"], "spec": spec}
        stored = connection.execute(sa.insert(jobs).values(**job, created_at=time.time()))
        job_id = stored.inserted_primary_key[0]
        task = {"job_id": job_id, "task_key": spec["tasks"], "state": 201, "rank": -1.0}
        connection.execute(sa.insert(tasks).values(task))
    return {"job_id": job_id}, 201

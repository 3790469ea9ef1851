"""Two tables that hold as much as a job and its task."""

import sqlalchemy as sa

metadata = sa.MetaData()
jobs = sa.Table(
    "floor_jobs",
    metadata,
    sa.Column("job_id", sa.BigInteger, primary_key=True),
    sa.Column("stream_id", sa.String(100), nullable=False),
    sa.Column("source_id", sa.String(255), nullable=False, index=True),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)
tasks = sa.Table(
    "floor_tasks",
    metadata,
    sa.Column("task_id", sa.BigInteger, primary_key=True),
    sa.Column("job_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("task_key", sa.String(100), nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("rank", sa.Double, nullable=False, index=True),
)

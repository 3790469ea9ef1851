"""The tables, one schema on SQLite and MariaDB."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from haste_core.messages import MAX_THUMBNAIL_BYTES
from haste_core.states import Due, Phase, TaskState
from haste_server.store.columns import ID, LONG_TEXT, MYSQL, Code, JsonText, PlaceJson

NO_INDEX = 2**62
"""Stands for "no number in the stream", so that such tasks come last among equal ranks."""

NO_SCORE = -1.0
"""Stands for an undefined score in `objects`, so that such objects come below all others."""

metadata = MetaData()

# A pipeline is never changed: a stream that gets another policy names another pipeline.
pipelines = Table(
    "pipelines",
    metadata,
    Column("pipeline_sha256", String(64), primary_key=True),
    Column("pipeline", JSON, nullable=False),
    **MYSQL,
)

streams = Table(
    "streams",
    metadata,
    Column("stream_id", String(100), primary_key=True),
    Column("pipeline_sha256", String(64), ForeignKey("pipelines.pipeline_sha256"), nullable=False),
    # The one that it began with: who joins the stream later names that.
    Column("first_pipeline_sha256", String(64), nullable=False),
    Column("mode", String(10), nullable=False),
    # Never another one: what is remembered about it stays true.
    Column("project", String(100), nullable=False),
    Column("created_at", Double, nullable=False),
    # When somebody said that no more images come, and the last job then: a later one opens the stream again.
    Column("completed_at", Double),
    Column("last_job", BigInteger),
    **MYSQL,
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", ID, primary_key=True, autoincrement=True),
    Column("stream_id", String(100), nullable=False),
    Column("source_id", String(255), nullable=False),
    Column("source_version", String(128)),
    Column("source_key", BigInteger, nullable=False),  # of its URL, which is too long for an index
    Column("set_key", String(200)),
    Column("stream_index", BigInteger, nullable=False),
    Column("spec", JsonText, nullable=False),
    Column("state", Code(TaskState), nullable=False),
    Column("priority", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    UniqueConstraint("stream_id", "source_id", "source_version", name="uq_jobs_source"),
    Index("ix_jobs_source_id", "source_id", "job_id"),
    Index("ix_jobs_source_key", "source_key", "job_id"),
    Index("ix_jobs_state", "state", "job_id"),
    Index("ix_jobs_set", "stream_id", "set_key", "job_id"),
    Index("ix_jobs_stream", "stream_id", "job_id"),
    Index("ix_jobs_stream_index", "stream_id", "stream_index"),
    Index("ix_jobs_stream_ended", "stream_id", "ended_at", "job_id"),
    Index("ix_jobs_stream_state", "stream_id", "state"),
    sqlite_autoincrement=True,
    **MYSQL,
)

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", ID, primary_key=True, autoincrement=True),
    Column("job_id", ID, ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("task_key", String(100), nullable=False),
    Column("site", String(100), nullable=False),
    Column("state", Code(TaskState), nullable=False),
    Column("phase", Code(Phase), nullable=False),
    Column("order_key", Double, nullable=False),
    Column("stream_index", BigInteger, nullable=False),
    Column("ready_at", Double),
    Column("contended", Boolean, nullable=False),
    Column("priority", Double),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("due_at", Double),
    Column("worker_id", String(100)),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("message", Text, nullable=False),
    Column("response", JSON(none_as_null=True)),
    Column("place", PlaceJson),
    Column("leaving", PlaceJson),
    Column("former", PlaceJson),
    Column("decision_id", BigInteger),
    UniqueConstraint("job_id", "position", name="uq_tasks_position"),
    # Hand-out reads its head: the cost does not grow with the backlog.
    Index("ix_tasks_hand_out", "phase", "task_key", "site", "order_key", "stream_index", "task_id"),
    Index("ix_tasks_due", "phase", "due_at"),
    Index("ix_tasks_age", "phase", "task_key", "site", "ready_at"),
    sqlite_autoincrement=True,
    **MYSQL,
)

# What people see of images. It leaves with the job, and is only read when a browser has no copy yet.
thumbnails = Table(
    "thumbnails",
    metadata,
    Column(
        "job_id", ID, ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    # Before the picture, which SQLite then need not read to tell it.
    Column("digest", String(16), nullable=False),
    Column("jpeg", LargeBinary(MAX_THUMBNAIL_BYTES), nullable=False),
    **MYSQL,
)

attempts = Table(
    "attempts",
    metadata,
    Column("task_id", ID, ForeignKey("tasks.task_id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("outcome", String(20), nullable=False),
    Column("state", Code(TaskState), nullable=False),
    Column("worker_id", String(100)),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("message", Text, nullable=False),
    **MYSQL,
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", ID, primary_key=True, autoincrement=True),
    Column("stream_id", String(100), nullable=False),
    # No foreign keys: a decision outlives the job that asked for it.
    Column("job_id", ID, nullable=False),
    Column("task_id", ID, nullable=False),
    Column("source_id", String(255), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("score", Double),
    Column("tier", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("origin", String(20), nullable=False),
    Column("made_by", String(100)),
    Column("features", JSON, nullable=False),
    Column("circumstances", JSON, nullable=False),
    Column("pipeline_sha256", String(64), nullable=False),
    Column("input_sha256", String(64), nullable=False),
    Column("software_version", String(50), nullable=False),
    Column("supersedes", BigInteger),
    Column("seen", BigInteger),
    Column("members", JSON(none_as_null=True)),
    Index("ix_decisions_order", "stream_id", "decision_id"),
    Index("ix_decisions_job", "job_id", "decision_id"),
    sqlite_autoincrement=True,
    **MYSQL,
)

# Each object that was decided about, as its latest decision left it.
objects = Table(
    "objects",
    metadata,
    Column(
        "job_id", ID, ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("stream_id", String(100), nullable=False),
    Column("set_key", String(200)),
    Column("task_id", ID, nullable=False),
    Column("decision_id", ID, nullable=False),
    Column("score", Double, nullable=False),
    Column("value", Double),
    Column("tier", String(100), nullable=False),
    # The tier that its policy gave it, in which it takes room by its rank: the same one, unless that tier's
    # limits sent it on, or, where no ranks decide, a person put it elsewhere.
    Column("counts_in", String(100), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("pinned", Boolean, nullable=False),
    # A person put it where it is: a ranking leaves it there.
    Column("held", Boolean, nullable=False),
    Column("due", Code(Due), nullable=False),
    Index("ix_objects_score", "stream_id", "score", "job_id", "size_bytes"),
    Index("ix_objects_tier", "stream_id", "tier", "score", "job_id", "size_bytes"),
    Index("ix_objects_rank", "stream_id", "counts_in", "score", "job_id", "size_bytes"),
    Index("ix_objects_due", "due", "job_id"),
    **MYSQL,
)

# Those that were deleted from a trash stand here instead.
deleted_objects = Table(
    "deleted_objects",
    metadata,
    Column(
        "job_id", ID, ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("stream_id", String(100), nullable=False),
    Column("set_key", String(200)),
    Column("decision_id", ID, nullable=False),
    Column("score", Double, nullable=False),
    Column("tier", String(100), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("deleted_at", Double, nullable=False),
    Index("ix_deleted_objects_score", "stream_id", "score", "job_id"),
    **MYSQL,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("idempotency_key", String(255), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    **MYSQL,
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", String(100), primary_key=True),
    Column("presence", LONG_TEXT, nullable=False),
    Column("leaving", Boolean, nullable=False),
    Column("seen_at", Double, nullable=False, index=True),
    **MYSQL,
)

alert_watches = Table(
    "alert_watches",
    metadata,
    Column("stream_id", String(100), primary_key=True),
    # Nothing can become true until the next job comes, which sets it to false.
    Column("resting", Boolean, nullable=False, index=True),
    **MYSQL,
)

alert_scores = Table(
    "alert_scores",
    metadata,
    # Stored with the decision, gone when it was judged.
    Column("decision_id", ID, primary_key=True, autoincrement=False),
    Column("stream_id", String(100), nullable=False),
    Column("source_id", String(255), nullable=False),
    Column("score", Double),
    Column("fields", JSON, nullable=False),
    Index("ix_alert_scores_stream", "stream_id", "decision_id"),
    **MYSQL,
)

alert_rule_states = Table(
    "alert_rule_states",
    metadata,
    Column("stream_id", String(100), primary_key=True),
    Column("rule", SmallInteger, primary_key=True, autoincrement=False),
    Column("group_name", String(200), primary_key=True),
    Column("images", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("first", String(255), nullable=False),
    Column("raised", Boolean, nullable=False),
    **MYSQL,
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", ID, primary_key=True, autoincrement=True),
    Column("event_id", String(32), nullable=False),
    Column("stream_id", String(100), nullable=False),
    Column("rule", String(30), nullable=False),
    Column("raised_at", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("acknowledged_at", Double),
    Index("ix_alerts_stream", "stream_id", "alert_id"),
    Index("ix_alerts_open", "stream_id", "acknowledged_at"),
    Index("ix_alerts_newest_open", "acknowledged_at", "alert_id"),
    sqlite_autoincrement=True,
    **MYSQL,
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("alert_id", ID, ForeignKey("alerts.alert_id", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(200), primary_key=True),
    Column("due_at", Double),
    Column("delivered_at", Double),
    Column("failures", Integer, nullable=False),
    Column("trouble", Text, nullable=False),
    Index("ix_alert_deliveries_due", "channel", "due_at"),
    **MYSQL,
)

# The secrets themselves are nowhere.
tokens = Table(
    "tokens",
    metadata,
    Column("token_id", ID, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("projects", JSON(none_as_null=True)),  # null: all
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Column("upload_quota_bytes", BigInteger),  # null: none
    Column("upload_held_bytes", BigInteger, nullable=False),  # the sum of its `held_uploads`
    UniqueConstraint("name", name="uq_tokens_name"),
    UniqueConstraint("sha256", name="uq_tokens_sha256"),
    sqlite_autoincrement=True,
    **MYSQL,
)

# What counts against the quotas of tokens: uploads by their own keys, what has landed by its URL's SHA-256.
held_uploads = Table(
    "held_uploads",
    metadata,
    Column("held_key", String(64), primary_key=True),
    Column("token_id", ID, ForeignKey("tokens.token_id"), nullable=False),
    Column("url", Text),  # null: it has not landed
    Column("size_bytes", BigInteger, nullable=False),
    Column("held_at", Double, nullable=False),
    **MYSQL,
)

failed_logins = Table(
    "failed_logins",
    metadata,
    Column("failure_id", ID, primary_key=True, autoincrement=True),
    Column("site", String(60), nullable=False),
    Column("failed_at", Double, nullable=False),
    Index("ix_failed_logins_site", "site", "failed_at"),
    Index("ix_failed_logins_failed_at", "failed_at"),
    **MYSQL,
)

audit = Table(
    "audit",
    metadata,
    Column("entry_id", ID, primary_key=True, autoincrement=True),
    Column("made_at", Double, nullable=False),
    Column("who", String(110), nullable=False),
    Column("address", String(60), nullable=False),
    Column("action", String(100), nullable=False),
    Column("target", String(300), nullable=False),
    Column("details", Text, nullable=False),
    Index("ix_audit_who", "who", "entry_id"),
    sqlite_autoincrement=True,
    **MYSQL,
)

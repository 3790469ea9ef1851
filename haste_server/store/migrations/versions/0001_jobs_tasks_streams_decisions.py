"""Jobs, tasks, streams, decisions, alerts, tokens.

Revision: 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
revision = '0001'
down_revision = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table('decisions',
    sa.Column('decision_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('task_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('source_id', sa.String(length=255), nullable=False),
    sa.Column('made_at', sa.Double(), nullable=False),
    sa.Column('score', sa.Double(), nullable=True),
    sa.Column('tier', sa.String(length=100), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('mode', sa.String(length=10), nullable=False),
    sa.Column('origin', sa.String(length=20), nullable=False),
    sa.Column('made_by', sa.String(length=100), nullable=True),
    sa.Column('features', sa.JSON(), nullable=False),
    sa.Column('circumstances', sa.JSON(), nullable=False),
    sa.Column('pipeline_sha256', sa.String(length=64), nullable=False),
    sa.Column('input_sha256', sa.String(length=64), nullable=False),
    sa.Column('software_version', sa.String(length=50), nullable=False),
    sa.Column('supersedes', sa.BigInteger(), nullable=True),
    sa.Column('seen', sa.BigInteger(), nullable=True),
    sa.Column('members', sa.JSON(none_as_null=True), nullable=True),
    sa.PrimaryKeyConstraint('decision_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('decisions', schema=None) as batch_op:
        batch_op.create_index('ix_decisions_job', ['job_id', 'decision_id'], unique=False)
        batch_op.create_index('ix_decisions_order', ['stream_id', 'decision_id'], unique=False)

    op.create_table('idempotency_keys',
    sa.Column('idempotency_key', sa.String(length=255), nullable=False),
    sa.Column('request_sha256', sa.String(length=64), nullable=False),
    sa.Column('answer', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('idempotency_key'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('jobs',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('source_id', sa.String(length=255), nullable=False),
    sa.Column('source_version', sa.String(length=128), nullable=True),
    sa.Column('source_key', sa.BigInteger(), nullable=False),
    sa.Column('set_key', sa.String(length=200), nullable=True),
    sa.Column('stream_index', sa.BigInteger(), nullable=False),
    sa.Column('spec', sa.JSON(), nullable=False),
    sa.Column('state', sa.SmallInteger(), nullable=False),
    sa.Column('priority', sa.Double(), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('job_id'),
    sa.UniqueConstraint('stream_id', 'source_id', 'source_version', name='uq_jobs_source'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('jobs', schema=None) as batch_op:
        batch_op.create_index('ix_jobs_set', ['stream_id', 'set_key', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_source_id', ['source_id', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_source_key', ['source_key', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_state', ['state', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_stream', ['stream_id', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_stream_ended', ['stream_id', 'ended_at', 'job_id'], unique=False)
        batch_op.create_index('ix_jobs_stream_index', ['stream_id', 'stream_index'], unique=False)
        batch_op.create_index('ix_jobs_stream_state', ['stream_id', 'state'], unique=False)

    op.create_table('pipelines',
    sa.Column('pipeline_sha256', sa.String(length=64), nullable=False),
    sa.Column('pipeline', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('pipeline_sha256'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('workers',
    sa.Column('worker_id', sa.String(length=100), nullable=False),
    sa.Column('presence', sa.Text().with_variant(mysql.LONGTEXT(), 'mysql'), nullable=False),
    sa.Column('leaving', sa.Boolean(), nullable=False),
    sa.Column('seen_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('worker_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('workers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_workers_seen_at'), ['seen_at'], unique=False)

    op.create_table('deleted_objects',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('set_key', sa.String(length=200), nullable=True),
    sa.Column('decision_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('score', sa.Double(), nullable=False),
    sa.Column('tier', sa.String(length=100), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('deleted_at', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.job_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('deleted_objects', schema=None) as batch_op:
        batch_op.create_index('ix_deleted_objects_score', ['stream_id', 'score', 'job_id'], unique=False)

    op.create_table('objects',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('set_key', sa.String(length=200), nullable=True),
    sa.Column('task_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('decision_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('score', sa.Double(), nullable=False),
    sa.Column('value', sa.Double(), nullable=True),
    sa.Column('tier', sa.String(length=100), nullable=False),
    sa.Column('counts_in', sa.String(length=100), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('pinned', sa.Boolean(), nullable=False),
    sa.Column('held', sa.Boolean(), nullable=False),
    sa.Column('due', sa.SmallInteger(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.job_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('objects', schema=None) as batch_op:
        batch_op.create_index('ix_objects_due', ['due', 'job_id'], unique=False)
        batch_op.create_index('ix_objects_rank', ['stream_id', 'counts_in', 'score', 'job_id', 'size_bytes'], unique=False)
        batch_op.create_index('ix_objects_score', ['stream_id', 'score', 'job_id', 'size_bytes'], unique=False)
        batch_op.create_index('ix_objects_tier', ['stream_id', 'tier', 'score', 'job_id', 'size_bytes'], unique=False)

    op.create_table('audit',
    sa.Column('entry_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('made_at', sa.Double(), nullable=False),
    sa.Column('who', sa.String(length=110), nullable=False),
    sa.Column('address', sa.String(length=60), nullable=False),
    sa.Column('action', sa.String(length=100), nullable=False),
    sa.Column('target', sa.String(length=300), nullable=False),
    sa.Column('details', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('entry_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.create_index('ix_audit_who', ['who', 'entry_id'], unique=False)

    op.create_table('failed_logins',
    sa.Column('failure_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('site', sa.String(length=60), nullable=False),
    sa.Column('failed_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('failure_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('failed_logins', schema=None) as batch_op:
        batch_op.create_index('ix_failed_logins_site', ['site', 'failed_at'], unique=False)
        batch_op.create_index('ix_failed_logins_failed_at', ['failed_at'], unique=False)

    op.create_table('tokens',
    sa.Column('token_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('projects', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('expires_at', sa.Double(), nullable=True),
    sa.Column('revoked_at', sa.Double(), nullable=True),
    sa.Column('last_used_at', sa.Double(), nullable=True),
    sa.Column('upload_quota_bytes', sa.BigInteger(), nullable=True),
    sa.Column('upload_held_bytes', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('token_id'),
    sa.UniqueConstraint('name', name='uq_tokens_name'),
    sa.UniqueConstraint('sha256', name='uq_tokens_sha256'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    op.create_table('held_uploads',
    sa.Column('held_key', sa.String(length=64), nullable=False),
    sa.Column('token_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('held_at', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['token_id'], ['tokens.token_id'], ),
    sa.PrimaryKeyConstraint('held_key'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('streams',
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('pipeline_sha256', sa.String(length=64), nullable=False),
    sa.Column('first_pipeline_sha256', sa.String(length=64), nullable=False),
    sa.Column('mode', sa.String(length=10), nullable=False),
    sa.Column('project', sa.String(length=100), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('completed_at', sa.Double(), nullable=True),
    sa.Column('last_job', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['pipeline_sha256'], ['pipelines.pipeline_sha256'], ),
    sa.PrimaryKeyConstraint('stream_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('tasks',
    sa.Column('task_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('position', sa.SmallInteger(), nullable=False),
    sa.Column('task_key', sa.String(length=100), nullable=False),
    sa.Column('site', sa.String(length=100), nullable=False),
    sa.Column('state', sa.SmallInteger(), nullable=False),
    sa.Column('phase', sa.SmallInteger(), nullable=False),
    sa.Column('order_key', sa.Double(), nullable=False),
    sa.Column('stream_index', sa.BigInteger(), nullable=False),
    sa.Column('ready_at', sa.Double(), nullable=True),
    sa.Column('contended', sa.Boolean(), nullable=False),
    sa.Column('priority', sa.Double(), nullable=True),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('losses', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=True),
    sa.Column('worker_id', sa.String(length=100), nullable=True),
    sa.Column('started_at', sa.Double(), nullable=True),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('response', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('place', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('leaving', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('former', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('decision_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.job_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id'),
    sa.UniqueConstraint('job_id', 'position', name='uq_tasks_position'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.create_index('ix_tasks_age', ['phase', 'task_key', 'site', 'ready_at'], unique=False)
        batch_op.create_index('ix_tasks_due', ['phase', 'due_at'], unique=False)
        batch_op.create_index('ix_tasks_hand_out', ['phase', 'task_key', 'site', 'order_key', 'stream_index', 'task_id'], unique=False)

    op.create_table('thumbnails',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('digest', sa.String(length=16), nullable=False),
    sa.Column('jpeg', sa.LargeBinary(length=8192), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.job_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('attempts',
    sa.Column('task_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('attempt', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('state', sa.SmallInteger(), nullable=False),
    sa.Column('worker_id', sa.String(length=100), nullable=True),
    sa.Column('started_at', sa.Double(), nullable=True),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.Column('message', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['tasks.task_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('task_id', 'attempt'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('alert_scores',
    sa.Column('decision_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('source_id', sa.String(length=255), nullable=False),
    sa.Column('score', sa.Double(), nullable=True),
    sa.Column('fields', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('decision_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('alert_scores', schema=None) as batch_op:
        batch_op.create_index('ix_alert_scores_stream', ['stream_id', 'decision_id'], unique=False)

    op.create_table('alert_rule_states',
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('rule', sa.SmallInteger(), autoincrement=False, nullable=False),
    sa.Column('group_name', sa.String(length=200), nullable=False),
    sa.Column('images', sa.BigInteger(), nullable=False),
    sa.Column('low', sa.BigInteger(), nullable=False),
    sa.Column('first', sa.String(length=255), nullable=False),
    sa.Column('raised', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('stream_id', 'rule', 'group_name'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('alert_watches',
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('resting', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('stream_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('alert_watches', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_alert_watches_resting'), ['resting'], unique=False)

    op.create_table('alerts',
    sa.Column('alert_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('event_id', sa.String(length=32), nullable=False),
    sa.Column('stream_id', sa.String(length=100), nullable=False),
    sa.Column('rule', sa.String(length=30), nullable=False),
    sa.Column('raised_at', sa.Double(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('acknowledged_at', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('alert_id'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB',
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.create_index('ix_alerts_newest_open', ['acknowledged_at', 'alert_id'], unique=False)
        batch_op.create_index('ix_alerts_open', ['stream_id', 'acknowledged_at'], unique=False)
        batch_op.create_index('ix_alerts_stream', ['stream_id', 'alert_id'], unique=False)

    op.create_table('alert_deliveries',
    sa.Column('alert_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('channel', sa.String(length=200), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=True),
    sa.Column('delivered_at', sa.Double(), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('trouble', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['alert_id'], ['alerts.alert_id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('alert_id', 'channel'),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('alert_deliveries', schema=None) as batch_op:
        batch_op.create_index('ix_alert_deliveries_due', ['channel', 'due_at'], unique=False)


def downgrade() -> None:
    """Take the schema back."""
    with op.batch_alter_table('alert_deliveries', schema=None) as batch_op:
        batch_op.drop_index('ix_alert_deliveries_due')

    op.drop_table('alert_deliveries')
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.drop_index('ix_alerts_stream')
        batch_op.drop_index('ix_alerts_open')
        batch_op.drop_index('ix_alerts_newest_open')

    op.drop_table('alerts')
    with op.batch_alter_table('alert_watches', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_alert_watches_resting'))

    op.drop_table('alert_watches')
    op.drop_table('alert_rule_states')
    with op.batch_alter_table('alert_scores', schema=None) as batch_op:
        batch_op.drop_index('ix_alert_scores_stream')

    op.drop_table('alert_scores')

    op.drop_table('attempts')
    op.drop_table('thumbnails')
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.drop_index('ix_tasks_hand_out')
        batch_op.drop_index('ix_tasks_due')
        batch_op.drop_index('ix_tasks_age')

    op.drop_table('tasks')
    op.drop_table('streams')
    op.drop_table('held_uploads')
    op.drop_table('tokens')
    with op.batch_alter_table('failed_logins', schema=None) as batch_op:
        batch_op.drop_index('ix_failed_logins_failed_at')
        batch_op.drop_index('ix_failed_logins_site')

    op.drop_table('failed_logins')
    with op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.drop_index('ix_audit_who')

    op.drop_table('audit')
    with op.batch_alter_table('objects', schema=None) as batch_op:
        batch_op.drop_index('ix_objects_tier')
        batch_op.drop_index('ix_objects_score')
        batch_op.drop_index('ix_objects_rank')
        batch_op.drop_index('ix_objects_due')

    op.drop_table('objects')
    with op.batch_alter_table('deleted_objects', schema=None) as batch_op:
        batch_op.drop_index('ix_deleted_objects_score')

    op.drop_table('deleted_objects')
    with op.batch_alter_table('workers', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_workers_seen_at'))

    op.drop_table('workers')
    op.drop_table('pipelines')
    with op.batch_alter_table('jobs', schema=None) as batch_op:
        batch_op.drop_index('ix_jobs_stream_state')
        batch_op.drop_index('ix_jobs_stream_index')
        batch_op.drop_index('ix_jobs_stream_ended')
        batch_op.drop_index('ix_jobs_stream')
        batch_op.drop_index('ix_jobs_state')
        batch_op.drop_index('ix_jobs_source_key')
        batch_op.drop_index('ix_jobs_source_id')
        batch_op.drop_index('ix_jobs_set')

    op.drop_table('jobs')
    op.drop_table('idempotency_keys')
    with op.batch_alter_table('decisions', schema=None) as batch_op:
        batch_op.drop_index('ix_decisions_order')
        batch_op.drop_index('ix_decisions_job')

    op.drop_table('decisions')

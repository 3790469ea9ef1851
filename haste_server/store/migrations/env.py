"""Run by alembic: migrates over the connection that `haste_server.store.migrate` gives it."""

from alembic import context

from haste_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

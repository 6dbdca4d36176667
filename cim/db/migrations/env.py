"""Alembic's entry: runs the revisions on the connection that `cim.db.migrate` hands over."""

from alembic import context

from cim.db.declared import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table_schema="public")
with context.begin_transaction():
    context.run_migrations()

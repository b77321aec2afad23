"""Alembic runs this: the migrations, on the connection and in the transaction of whoever opens the store."""

from alembic import context

from truing.studio.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()

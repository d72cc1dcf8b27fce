"""What Alembic runs for each upgrade: always inside the transaction that ``storage/schema.py`` opened."""

from __future__ import annotations

from alembic import context

from service.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

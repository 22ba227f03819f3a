"""The schema's history, for Alembic; `models.migrate` runs it."""

"""The schema's history, for Alembic; `models.migrations.runner` runs it."""

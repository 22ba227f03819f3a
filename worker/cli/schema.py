"""Upgrades the schema of the configured database."""

import typer

from models.migrations.lock_retry import LockRetryPolicy
from models.migrations.runner import NotMigrated, upgrade
from models.settings.settings import read_database_settings
from worker.cli.errors import Failed


def upgrade_schema(*, tries: int) -> None:
    """Upgrade to the newest revision. Raises Failed when a revision does not get its locks."""
    try:
        upgrade(
            read_database_settings().migration_database_url,
            report=typer.echo,
            patience=LockRetryPolicy(tries=tries),
        )
    except NotMigrated as refusal:
        raise Failed(str(refusal)) from None
    typer.echo("the schema is up to date")

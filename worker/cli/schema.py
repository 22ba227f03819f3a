"""Upgrades the schema of the configured database."""

from typing import Final

import psycopg
import typer
from sqlalchemy.exc import OperationalError

from models.database.session import UnusableDatabase
from models.migrations.lock_retry import LockRetryPolicy
from models.migrations.runner import NotMigrated, upgrade
from models.settings.settings import read_database_settings
from worker.cli.errors import Failed, WrongUsage

_ADDRESS: Final = "SLIPWAY_MIGRATION_DATABASE_URL"


def upgrade_schema(*, tries: int) -> None:
    """Upgrade to the newest revision. Raises Failed when a revision does not get its locks.

    Raises WrongUsage if no server responds at an address for migrations alone.
    """
    settings = read_database_settings()
    url = settings.migration_database_url
    try:
        upgrade(url, report=typer.echo, patience=LockRetryPolicy(tries=tries))
    except NotMigrated as refusal:
        raise Failed(str(refusal)) from None
    except OperationalError as error:
        if url != settings.database_url and (sentence := _unreached(error.orig, url)) is not None:
            raise WrongUsage(sentence) from None
        raise
    typer.echo("the schema is up to date")


def _unreached(error: BaseException | None, url: str) -> str | None:
    """Say why no server responded, if none did: then it sent no SQLSTATE."""
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate is not None:
        return None
    if isinstance(error, UnusableDatabase):
        return None
    from worker.cli.error_messages import unreachable_database  # noqa: PLC0415 - after an error alone

    return unreachable_database(error, url, _ADDRESS).sentence

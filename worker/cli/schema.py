"""Upgrades the schema of the configured database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import typer
from sqlalchemy.exc import OperationalError

from models.database.engine import open_engine
from models.database.session import UnusableDatabase
from models.migrations.finalize import CannotFinalize, finalize, finalized, require_this_release
from models.migrations.lock_retry import LockRetryPolicy
from models.migrations.revisions import expected_revision
from models.migrations.runner import NotMigrated, upgrade
from models.settings.settings import read_database_settings
from worker.cli.errors import Failed, WrongUsage

_ADDRESS: Final = "SLIPWAY_MIGRATION_DATABASE_URL"
_POINT_OF_NO_RETURN: Final = (
    "from now on events are stored in a form that the release before this one does not read: its"
    " processes would reject repeats as reused ids. So none may run any more, anywhere, and the"
    " code cannot be rolled back to it. This cannot be undone."
)


def upgrade_schema(*, tries: int) -> None:
    """Upgrade to the newest revision. Raises Failed when a revision does not get its locks.

    Raises WrongUsage if no server responds at an address for migrations alone.
    """
    with _address() as url:
        try:
            upgrade(url, report=typer.echo, patience=LockRetryPolicy(tries=tries))
        except NotMigrated as refusal:
            raise Failed(str(refusal)) from None
    typer.echo("the schema is up to date")


def finalize_upgrade(*, yes: bool) -> None:
    """Let processes write what the release before does not read; ask first, unless *yes*.

    Raises Failed if a process of another version is connected, or the answer is no.
    """
    from worker.cli.triage.report import confirm_many  # noqa: PLC0415 - an upgrade needs no pictures

    revision = expected_revision()
    with _address() as url:
        engine = open_engine(url, application_name="slipway migrate", pool_size=1)
        try:
            with engine.begin() as connection:
                require_this_release(connection)
                done = finalized(connection)
            if done is not None and done >= revision:
                typer.echo(f"the upgrade to revision {done} is finalized already")
                return
            confirm_many(_POINT_OF_NO_RETURN, yes=yes)
            with engine.begin() as connection:
                require_this_release(connection)  # one may have been started meanwhile
                finalize(connection, revision)
        except CannotFinalize as refusal:
            raise Failed(str(refusal)) from None
        finally:
            engine.dispose()
    typer.echo(f"the upgrade to revision {revision} is finalized")


@contextmanager
def _address() -> Iterator[str]:
    """Lend the database's URL; say what is wrong with one for migrations alone."""
    settings = read_database_settings()
    url = settings.migration_database_url
    try:
        yield url
    except OperationalError as error:
        if url != settings.database_url and (sentence := _unreached(error.orig, url)) is not None:
            raise WrongUsage(sentence) from None
        raise


def _unreached(error: BaseException | None, url: str) -> str | None:
    """Say why no server responded, if none did: then it sent no SQLSTATE."""
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate is not None:
        return None
    if isinstance(error, UnusableDatabase):
        return None
    from worker.cli.error_messages import unreachable_database  # noqa: PLC0415 - after an error alone

    return unreachable_database(error, url, _ADDRESS).sentence

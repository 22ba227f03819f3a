"""Bring the schema to the revision this code expects: `slipway migrate`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from models.addresses import database_address

_SCRIPTS = Path(__file__).parent / "migrations"
# One migration at a time, whoever starts it; the number is arbitrary, but everybody's.
_LOCK = text("SELECT pg_advisory_lock(7541130926)")
_UNLOCK = text("SELECT pg_advisory_unlock(7541130926)")


def upgrade(database_url: str) -> None:
    """Create or upgrade the schema; does nothing where it is up to date.

    A second call waits for the first. Raises `sqlalchemy.exc.OperationalError` where the server
    cannot be reached.
    """
    engine = create_engine(
        database_address(database_url), connect_args={"application_name": "slipway migrate"}
    )
    try:
        with engine.connect() as connection:
            connection.execute(_LOCK)
            connection.commit()
            try:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(_UNLOCK)
                connection.commit()
    finally:
        engine.dispose()


def expected_revision() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "there is at least one migration"
    return head


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

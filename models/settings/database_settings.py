"""The settings of a process that reads or writes the database, and of `slipway migrate`."""

from pydantic import Field
from pydantic_settings import BaseSettings

from models.settings.reading import CONFIG
from models.settings.types import DatabaseUrl


class DatabaseSettings(BaseSettings):
    """Where the database is; a part of `models.settings.settings.Settings`."""

    model_config = CONFIG

    database_url: DatabaseUrl = Field(repr=False)
    """PostgreSQL 15 or later, which holds all state: `postgresql://user:password@host:5432/name`,
    or a PgBouncer in transaction mode; in UTF8. Of several hosts (`a:5432,b:5432`) each new
    connection takes the one that accepts writes (`target_session_attrs=read-write`, the default).
    Over TLS, verified: `?sslmode=verify-full&sslrootcert=FILE`. Parameters are libpq's; `options`
    may set `search_path` alone. Beat and Flower need none."""

    migration_database_url: DatabaseUrl = Field(
        default_factory=lambda known: str(known["database_url"]),
        repr=False,
        json_schema_extra={"shown_default": "the database URL"},
    )
    """The same database for `slipway migrate`, which no pooler may stand before."""

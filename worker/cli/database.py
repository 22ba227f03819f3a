"""A database connection for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from models.database.engine import open_engine
from models.settings.settings import read_settings


@contextmanager
def transaction() -> Iterator[Connection]:
    """Open a transaction on the configured database; it commits if the block succeeds."""
    engine = open_engine(
        read_settings().database_url, pool_size=1, application_name="slipway command"
    )
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()

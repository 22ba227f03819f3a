"""Whether the database can be used by this code, for the readiness probe of a process."""

import logging
from functools import cache

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.database.session import UnusableDatabase
from models.migrations.revisions import current_revision, expected_revision

log = logging.getLogger(__name__)


def database_fault(engine: Engine) -> str | None:
    """Describe why the database cannot be used, without secrets; None if it can."""
    try:
        with engine.connect() as connection:
            current = current_revision(connection)
    except SQLAlchemyError as error:
        log.warning("not_ready_postgresql", extra={"error": str(error)})
        unfit = error.orig if isinstance(error, DBAPIError) else None
        return str(unfit) if isinstance(unfit, UnusableDatabase) else "PostgreSQL does not respond"
    expected = needed_revision()
    # Revisions are four-digit numbers. A newer one is fine: during a rollout, old processes work on
    # the new schema.
    if current is None or current < expected:
        return (
            f"the schema is at revision {current or 'none'}, this code needs {expected}: run"
            " `slipway migrate`"
        )
    return None


@cache  # it reads every revision's file
def needed_revision() -> str:
    """Return the revision of the schema that this code needs."""
    return expected_revision()

"""The revision of a database, and the one that this code needs: without Alembic.

Gateway and console compare them at each readiness probe. Alembic would cost them 6 MiB.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

VERSIONS: Final = Path(__file__).parent / "versions"
_DIGITS: Final = 4  # of a revision, with which its file's name begins
_HAS_SCHEMA: Final = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_CURRENT: Final = text("SELECT max(version_num) FROM alembic_version")


def expected_revision() -> str:
    """Return the revision that this code was written for."""
    return max(file.name[:_DIGITS] for file in VERSIONS.glob("[0-9]*.py"))


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the database, or None before the first migration."""
    if not connection.execute(_HAS_SCHEMA).scalar_one():
        return None
    revision: str | None = connection.execute(_CURRENT).scalar_one()
    return revision

"""Ends an upgrade: from then on processes write what the release before does not read.

A release reads a new form of rows before it writes it, since processes of the release before run
beside it during a rollout, and again if the code is rolled back. Only a person knows when that is
over, and says so (`slipway migrate --finalize`). Until then all is written as before. The first
migration of an empty database says it, too: no older process has ever worked there.
"""

from typing import Final

from sqlalchemy import Connection, text

from models.migrations.revisions import current_revision, expected_revision
from models.notices import short_body
from models.platform.errors import SlipwayError
from models.platform.version import version

NEEDED: Final = short_body.SINCE  # the newest revision with a form of rows that waits for it

FINALIZED: Final = text("SELECT revision FROM finalized_upgrade WHERE id = 1")
FINALIZE: Final = text("""
    INSERT INTO finalized_upgrade (id, revision) VALUES (1, :revision)
        ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, finalized_at = now()
     WHERE finalized_upgrade.revision < excluded.revision""")
OTHER_VERSIONS: Final = text("""
    SELECT DISTINCT application_name FROM pg_stat_activity
     WHERE datname = current_database() AND application_name ~ '^slipway [a-z-]+ [0-9]'
       AND split_part(application_name, ' ', 3) <> :version
     ORDER BY application_name LIMIT 10""")


class CannotFinalize(SlipwayError):
    """Processes of another release may be at work; nothing was changed."""


def finalized(connection: Connection) -> str | None:
    """Return the revision of the last upgrade that was finalized; the schema has NEEDED or more."""
    revision: str | None = connection.execute(FINALIZED).scalar_one_or_none()
    return revision


def is_finalized(connection: Connection) -> bool:
    """Return whether all may be written in the form that this release has for it."""
    revision = finalized(connection)
    return revision is not None and revision >= NEEDED


def require_this_release(connection: Connection) -> None:
    """Raise CannotFinalize if the schema, or a process that is connected, is of another release."""
    current, expected = current_revision(connection), expected_revision()
    if current is None or current < expected:
        raise CannotFinalize(
            f"the schema is at revision {current or 'none'}, this program needs {expected}: run"
            " `slipway migrate`, replace every process, then finalize"
        )
    if names := connection.execute(OTHER_VERSIONS, {"version": version()}).scalars().all():
        raise CannotFinalize(
            f"processes of another version than {version()} are connected: {', '.join(names)};"
            " replace them, then finalize"
        )


def finalize(connection: Connection, revision: str) -> None:
    """Note in the caller's transaction that every process knows the schema of *revision*."""
    connection.execute(FINALIZE, {"revision": revision})

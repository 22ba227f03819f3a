"""What PostgreSQL itself says of the installation: version, schema, and who is connected."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.migrations.readiness import needed_revision
from models.migrations.revisions import current_revision
from models.sweeps.heartbeat import Round, last_round

SESSIONS_MAX: Final = 100
VERSION: Final = text("SHOW server_version")
# Sessions of other roles show no name, unless ours may read all of them.
SESSIONS: Final = text("""
    SELECT regexp_replace(substr(application_name, 9), ' [0-9][^ ]*$', '') AS process,
           substring(application_name from ' ([0-9][^ ]*)$') AS version, count(*) AS sessions,
           count(DISTINCT client_addr) AS hosts, min(backend_start) AS oldest,
           count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid()) AS active
      FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'slipway %'
     GROUP BY 1, 2 ORDER BY 1, 2 LIMIT :limit""")


@dataclass(frozen=True, slots=True)
class ProcessSessions:
    """The connections of the processes of one name and version to this database."""

    process: str
    version: str | None  # None: an earlier build, which does not say
    sessions: int
    hosts: int
    oldest: datetime
    active: int


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The state of the database."""

    version: str
    revision: str | None
    expected_revision: str
    processes: tuple[ProcessSessions, ...]
    last_round: Round | None


def read_database_facts(connection: Connection) -> DatabaseFacts:
    """Read the facts in four short statements."""
    rows = connection.execute(SESSIONS, {"limit": SESSIONS_MAX}).mappings()
    return DatabaseFacts(
        version=connection.execute(VERSION).scalar_one().partition(" ")[0],
        revision=current_revision(connection),
        expected_revision=needed_revision(),
        processes=tuple(ProcessSessions(**row) for row in rows),
        last_round=last_round(connection),
    )

"""Whether PostgreSQL has the synchronous standbys that it is set to wait for.

Without them each commit waits, without a limit: nothing is applied, sent or closed, and no
statement fails. What a standby is to the primary, an ordinary user is not shown; it needs
pg_monitor. But each user sees its own sessions, and so its own commits that wait.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

# FIRST 2 (a, b), ANY 2 (a, b), 2 (a, b); a list without a number is FIRST 1.
_NUMBER: Final = re.compile(r"\s*(?:first|any)?\s*(\d+)\s*\(", re.IGNORECASE)
# A sender whose state is hidden from our user may be synchronous.
STANDBYS: Final = text("""
    SELECT pg_is_in_recovery() AS follows, current_setting('synchronous_standby_names') AS names,
           current_setting('max_wal_senders') AS senders_max,
           count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
           count(*) FILTER (WHERE sync_state IS NULL) AS hidden, count(*) AS senders
      FROM pg_stat_replication""")
COMMIT_WAIT_MAX: Final = timedelta(seconds=10)  # one that waits longer has no standby
WAITING_COMMIT: Final = text("""
    SELECT max(clock_timestamp() - query_start) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event = 'SyncRep'""")


@dataclass(frozen=True, slots=True)
class Standbys:
    """What the primary is set to wait for, and what it has."""

    required: int  # 0: it waits for none
    synchronous: int
    hidden: int  # senders whose state our user may not see
    senders: int
    oldest_commit: timedelta | None  # how long the oldest of our commits has waited for one

    @property
    def stalled(self) -> bool:
        """Whether commits wait for a standby that is not there."""
        waits = self.oldest_commit is not None and self.oldest_commit > COMMIT_WAIT_MAX
        return self.missing > 0 or waits

    @property
    def missing(self) -> int:
        """Synchronous standbys that are certainly not there."""
        return max(0, self.required - self.synchronous - self.hidden)


def read_standbys(connection: Connection) -> Standbys:
    """Ask in two short statements."""
    row = connection.execute(STANDBYS).one()
    return Standbys(
        required=0 if row.follows or row.senders_max == "0" else required_standbys(row.names),
        synchronous=row.synchronous,
        hidden=row.hidden,
        senders=row.senders,
        oldest_commit=connection.execute(WAITING_COMMIT).scalar_one(),
    )


def required_standbys(names: str) -> int:
    """Return for how many standbys a commit waits, by `synchronous_standby_names`."""
    if not names.strip():
        return 0
    number = _NUMBER.match(names)
    return 1 if number is None else int(number[1])

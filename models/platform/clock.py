"""One clock decides leases and due times: the database's.

Hosts disagree about the time; every process queries the database anyway.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import Connection, text

NOW: Final = text("SELECT clock_timestamp()")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def in_seconds(interval: str) -> str:
    """Return SQL for *interval* in seconds alone, whatever units it was given in.

    PostgreSQL keeps days apart from seconds, and psycopg sends 24 hours as `1 day`: added to a
    moment, that is 23 or 25 hours where the session's time zone changes its clocks in between.
    """
    return f"make_interval(secs => CAST(extract(epoch FROM {interval}) AS double precision))"


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """Return the latest whole multiple of *step* since 1970 that is not after *moment*."""
    return moment - (moment - _EPOCH) % step


class Clock(Protocol):
    """Returns the time. Only entry points read it; all other code gets `now` as an argument."""

    def now(self, connection: Connection) -> datetime:
        """Return the present time, aware and in UTC."""
        ...


class DatabaseClock:
    """The clock of the PostgreSQL server behind the connection."""

    def now(self, connection: Connection) -> datetime:
        """Query the server's time, in one round trip: the time now, not the transaction's start.

        (PostgreSQL's `now()` is constant within a transaction, so a lease given at the end of a
        long one would begin in the past.)
        """
        now: datetime = connection.execute(NOW).scalar_one()
        return now.astimezone(UTC)

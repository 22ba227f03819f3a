"""One clock decides for leases and due times: the database's.

Hosts disagree about the time; the database is the one party everybody asks anyway.
"""

from datetime import UTC, datetime
from typing import Final, Protocol

from sqlalchemy import Connection, text

NOW: Final = text("SELECT clock_timestamp()")


def in_seconds(interval: str) -> str:
    """SQL for *interval* counted in seconds alone, whatever units it was given in.

    PostgreSQL keeps days apart from seconds, and psycopg sends 24 hours as `1 day`: added to a
    moment, that is 23 or 25 hours where the session's time zone changes its clocks in between.
    """
    return f"make_interval(secs => CAST(extract(epoch FROM {interval}) AS double precision))"


class Clock(Protocol):
    """Says what time it is. Only entry points ask; everything else is handed `now`."""

    def now(self, connection: Connection) -> datetime:
        """Give the present moment, aware and in UTC."""
        ...


class DatabaseClock:
    """The clock of the PostgreSQL server behind the connection."""

    def now(self, connection: Connection) -> datetime:
        """Ask the server: one round trip. The moment of asking, not of the transaction's start.

        (`now()` of PostgreSQL stands still for a whole transaction, so a lease given at the end of
        a long one would be born old.)
        """
        moment: datetime = connection.execute(NOW).scalar_one()
        return moment.astimezone(UTC)

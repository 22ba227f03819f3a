"""Whether the work goes on: entries leave the stream, and what is due is sent."""

from datetime import datetime, timedelta
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from models.platform.timestamps import entry_id_time
from producers.simulation.partner import LedgerEntry
from producers.wall_clock import utc_now

BEHIND: Final = timedelta(seconds=2)
# What is under a lease is under way, or comes due again when that is over. In the minute after a
# circuit closed its partner is sent less on purpose: then it is enough that it is sent anything.
NOTICES: Final = text("""
    SELECT EXISTS (SELECT FROM notice WHERE head AND ended IS NULL
                      AND due_at < clock_timestamp() + interval '5 min') AS undelivered,
           EXISTS (SELECT FROM notice n JOIN operator o ON o.id = n.operator
                     LEFT JOIN circuit c ON c.operator = o.id
                    WHERE n.head AND n.ended IS NULL AND n.due_at <= :since
                      AND (n.leased_until IS NULL OR n.leased_until <= clock_timestamp())
                      AND (c.opened_at IS NULL OR c.closed_at IS NULL
                           OR c.closed_at < clock_timestamp() - interval '1 min')) AS left_over
    """)


class Pulse:
    """Polls stream, notices and partner, past every fault of the network."""

    def __init__(self, redis: Redis, database_url: str) -> None:
        """Poll these servers."""
        self._redis = redis
        self._engine = create_engine(database_url, pool_size=1, isolation_level="AUTOCOMMIT")
        self._taken_at: datetime | None = None

    @property
    def begun(self) -> bool:
        """The partner took something: whatever it takes for that is there."""
        return self._taken_at is not None

    def record_request(self, entry: LedgerEntry) -> None:
        """The partner's part: a request is over."""
        if entry.taken:
            self._taken_at = utc_now()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def goes_on(self, *, since: datetime) -> bool:
        """No entry waits for long, what was due at *since* was sent, and the partner took one.

        Where no notice is undelivered, the partner need not have taken anything.
        """
        try:
            oldest = self._redis.xrange("ticket-events", count=1)
            if oldest and utc_now() - entry_id_time(str(oldest[0][0])) > BEHIND:
                return False
            with self._engine.connect() as connection:
                notices = connection.execute(NOTICES, {"since": since}).one()
        except (RedisError, DBAPIError):
            return False
        if notices.left_over:
            return False
        return not notices.undelivered or (self._taken_at is not None and self._taken_at > since)

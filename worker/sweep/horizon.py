"""The horizon of rule 17: the newest moment before which nothing on the stream is still unapplied.

What the clock does to a ticket is judged against it, so that a rollback counts from the moment it
is on the stream, however far behind the intake is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from worker.intake.stream import GROUP, STREAM

# One step, so that no entry moves from "undelivered" to "pending" between two looks. Not the first
# entry of the stream: one that is acknowledged but not deleted would hold everything up for ever.
_LOOK: Final = """
local time = redis.call('TIME')
local delivered, pending = '0-0', false
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = {}
    for i = 1, #raw, 2 do group[raw[i]] = raw[i + 1] end
    if group['name'] == ARGV[1] then
      delivered = group['last-delivered-id']
      pending = redis.call('XPENDING', KEYS[1], ARGV[1])[2]
    end
  end
end
local undelivered = redis.call('XRANGE', KEYS[1], '(' .. delivered, '+', 'COUNT', 1)
return {time[1], time[2], pending or '', undelivered[1] and undelivered[1][1] or ''}
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_JUST_BEFORE: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis said in one moment. The ids are those of unapplied entries."""

    now: datetime
    oldest_pending: str | None
    first_undelivered: str | None


class Sight(Protocol):
    """Where the sweep gets its horizon from."""

    def horizon(self) -> datetime | None:
        """Give the horizon; None when it cannot be known."""
        ...


class StreamSight:
    """The horizon as the stream shows it."""

    def __init__(self, redis: Redis) -> None:
        """Use *redis*, which should give up within seconds."""
        self._look = redis.register_script(_LOOK)

    def look(self) -> Look:
        """Ask Redis, in one step. Raises redis.RedisError when it cannot be asked."""
        seconds, microseconds, pending, undelivered = self._look([STREAM], [GROUP])
        return Look(
            now=_EPOCH + timedelta(seconds=int(seconds), microseconds=int(microseconds)),
            oldest_pending=pending.decode() or None,
            first_undelivered=undelivered.decode() or None,
        )

    def horizon(self) -> datetime | None:
        """Give the horizon now; None without Redis: late is harmless, early is not."""
        try:
            return decide(self.look())
        except RedisError:
            return None


def decide(look: Look) -> datetime | None:
    """Give the newest moment older than every unapplied entry; with none, the moment of the look.

    None when an unapplied entry claims to come from the future (Redis' clock was set back, or a
    publisher chose the id): then its id does not tell when it really arrived.
    """
    unapplied = [id_ for id_ in (look.oldest_pending, look.first_undelivered) if id_ is not None]
    if not unapplied:
        return look.now
    oldest = min(map(arrived, unapplied))
    return None if oldest > look.now else oldest - _JUST_BEFORE


def arrived(entry_id: str) -> datetime:
    """Give the moment an entry was added, by Redis' clock: the first part of its id, in ms."""
    return _EPOCH + timedelta(milliseconds=int(entry_id.partition("-")[0]))

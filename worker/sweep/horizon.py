"""The horizon of rule 17: a moment before which nothing that was published is still unapplied.

What the clock does to a ticket is judged against it, so that a rollback counts from the moment it
was published, however far behind the intake is. A message on a Celery queue bears no time that
could be trusted. So each look empties the queue onto the stream and notes the moment: everything
published before it is on the stream now, with an id that is not younger. The horizon is the newest
such moment that is older than all that is unapplied.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from worker.door.script import KEYS, MOVE
from worker.intake.stream import GROUP

log = logging.getLogger(__name__)

MOMENTS: Final = "ticket-events:emptied"  # a sorted set, by microseconds; shared by all sweeps
LOOKS_MAX: Final = 100  # a round: with them 100,000 messages move

# One step, so that no entry moves from "undelivered" to "pending" between two looks. Not the first
# entry of the stream: one that is acknowledged but not deleted would hold everything up for ever.
# No moment is noted while an entry claims to come from the future (Redis' clock was set back, or a
# publisher chose the id): its id does not tell when it really arrived. Nor more of them than needed
# to be late by at most a thousandth of what the intake is behind.
_LOOK: Final = f"""
local stream, moments = KEYS[1], KEYS[{len(KEYS) + 1}]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function exactly(number) return string.format('%.0f', number) end
local function arrived(id) return tonumber(string.match(id, '^%d+')) * 1000 end

local delivered, oldest = '0-0', false
local function unapplied(id)
  if id and (not oldest or arrived(id) < oldest) then oldest = arrived(id) end
end
if redis.call('EXISTS', stream) == 1 then
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {{}}
    for i = 1, #raw, 2 do group[raw[i]] = raw[i + 1] end
    if group['name'] == ARGV[1] then
      delivered = group['last-delivered-id']
      unapplied(redis.call('XPENDING', stream, ARGV[1])[2])
    end
  end
end
local undelivered = redis.call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1)[1]
unapplied(undelivered and undelivered[1])
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]

redis.call('ZREMRANGEBYSCORE', moments, '(' .. exactly(now), '+inf')
local first = redis.call('ZRANGE', moments, 0, 0, 'WITHSCORES')[2]
local newest = redis.call('ZRANGE', moments, -1, -1, 'WITHSCORES')[2]
if left == 0 and (not last or arrived(last[1]) <= now)
   and (not newest or now - newest >= (newest - first) / 1000) then
  redis.pcall('ZADD', moments, exactly(now), exactly(now))
end
local bound = oldest and '(' .. exactly(oldest) or '+inf'
local horizon = redis.call('ZREVRANGEBYSCORE', moments, bound, '-inf', 'LIMIT', 0, 1)[1]
if horizon then redis.call('ZREMRANGEBYSCORE', moments, '-inf', '(' .. horizon) end
return {{horizon or '', left, trouble}}
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis said in one moment. *left* and *trouble*: as in `worker.door.door.Moved`."""

    horizon: datetime | None
    left: int
    trouble: str | None


class Sight(Protocol):
    """Where the sweep gets its horizon from."""

    def horizon(self) -> datetime | None:
        """Give the horizon; None when it cannot be known."""
        ...


class StreamSight:
    """The horizon as stream and queue show it."""

    def __init__(self, redis: Redis) -> None:
        """Use *redis*, which should give up within seconds."""
        self._look = redis.register_script(MOVE + _LOOK)

    def look(self) -> Look:
        """Empty the queue as far as one call can, and ask, in one step. Raises redis.RedisError."""
        horizon, left, trouble = self._look([*KEYS, MOMENTS], [GROUP])
        return Look(
            horizon=_EPOCH + timedelta(microseconds=int(horizon)) if horizon else None,
            left=int(left),
            trouble=trouble.decode("utf-8", "replace") or None,
        )

    def horizon(self) -> datetime | None:
        """Empty the queue and give the horizon; None without Redis: late is harmless, early not.

        A queue that cannot be emptied (Redis is full) leaves the horizon where it was.
        """
        try:
            look = self.look()
            looks = 1
            while look.left and look.trouble is None and looks < LOOKS_MAX:
                look = self.look()
                looks += 1
        except RedisError:
            return None
        if look.left:
            log.warning("queue_not_emptied", extra={"left": look.left, "error": look.trouble})
        return look.horizon

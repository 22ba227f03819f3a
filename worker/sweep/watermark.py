"""The horizon of rule 17: a moment before which nothing that was published is still unapplied.

What the clock does to a ticket is judged against it, so that a rollback counts from the moment it
was published, however far behind the intake is. Neither a message on a Celery queue nor an entry's
id bears a time that could be trusted. So each look empties the queue onto the stream and notes the
moment with the stream's last id: everything published before it is on the stream now, and has no
later id. The horizon is the newest such moment whose last id comes before all that is unapplied.

Due times are PostgreSQL's, so moments are too: its clock is read before the look, and what was on
the stream before the look was there no later. Redis' clock decides nothing here.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from models.events.stream_contract import GROUP
from models.platform.timestamps import from_microseconds, to_microseconds
from worker.intake.celery_queue.script import KEYS, MOVE
from worker.intake.noted_moments import FORMER_MOMENTS, MOMENTS, NOTED

log = logging.getLogger(__name__)

LOOKS_MAX: Final = 100  # a round: with them 100,000 messages move

# One step, so that no entry moves from "undelivered" to "pending" between two looks. Not the first
# entry of the stream: one that is acknowledged but not deleted would hold everything up for ever.
# Ids are compared as digits: a number of Lua holds no more than 15 of their 20. No more moments are
# noted than needed to be late by at most a thousandth of what the intake is behind. Moments from
# the future are forgotten (PostgreSQL's clock was set back, or this process was held up), and so
# are those with a later id than the stream's last: it was made again, or its last id was reset.
_LOOK: Final = f"""
local stream, moments = KEYS[1], KEYS[{len(KEYS) + 1}]
local asked = tonumber(ARGV[2])
local time = redis.call('TIME')
local function exactly(number) return string.format('%.0f', number) end
local function less(one, other)
  if #one ~= #other then return #one < #other end
  return one < other
end
local function before(one, other)
  local ms, number = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_number = string.match(other, '^(%d+)-(%d+)$')
  if ms == other_ms then return less(number, other_number) end
  return less(ms, other_ms)
end
local function named(raw)
  local facts = {{}}
  for i = 1, #raw, 2 do facts[raw[i]] = raw[i + 1] end
  return facts
end

local last, delivered, oldest = '0-0', '0-0', false
local function unapplied(id)
  if id and (not oldest or before(id, oldest)) then oldest = id end
end
if redis.call('EXISTS', stream) == 1 then
  last = named(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = named(raw)
    if group['name'] == ARGV[1] then
      delivered = group['last-delivered-id']
      unapplied(redis.call('XPENDING', stream, ARGV[1])[2])
    end
  end
end
local undelivered = redis.call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1)[1]
unapplied(undelivered and undelivered[1])

redis.call('DEL', KEYS[{len(KEYS) + 2}])
redis.call('ZREMRANGEBYSCORE', moments, '(' .. exactly(asked), '+inf')
local function noted(place)
  local moment = redis.call('ZRANGE', moments, place, place)[1]
  if not moment then return nil, '0-0' end
  local at, _, last_then = string.match(moment, '{NOTED}')
  return tonumber(at), last_then
end
local newest, newest_last = noted(-1)
while newest and before(last, newest_last) do
  redis.call('ZREMRANGEBYRANK', moments, -1, -1)
  newest, newest_last = noted(-1)
end
if left == 0 and (not newest
   or asked > newest and asked - newest >= (newest - noted(0)) / 1000) then
  local moment = exactly(time[1] * 1000000 + time[2])
  redis.pcall('ZADD', moments, exactly(asked), exactly(asked) .. ' ' .. moment .. ' ' .. last)
end
for _, moment in ipairs(redis.call('ZREVRANGE', moments, 0, oldest and -1 or 0)) do
  local at, _, last_then = string.match(moment, '{NOTED}')
  if not oldest or before(last_then, oldest) then
    redis.call('ZREMRANGEBYSCORE', moments, '-inf', '(' .. at)
    return {{at, left, trouble}}
  end
end
return {{'', left, trouble}}
"""


@dataclass(frozen=True, slots=True)
class StreamObservation:
    """What Redis said in one moment. *left* and *trouble*: as in `celery_queue.drain.Moved`."""

    horizon: datetime | None
    left: int
    trouble: str | None


class WatermarkSource(Protocol):
    """Where the sweep gets its horizon from."""

    def horizon(self, now: datetime) -> datetime | None:
        """Give the horizon, in the clock of *now*; None when it cannot be known.

        *now* must have been read before the call.
        """
        ...


class StreamWatermark:
    """The horizon as stream and queue show it."""

    def __init__(self, redis: Redis) -> None:
        """Use *redis*, which should give up within seconds."""
        self._look = redis.register_script(MOVE + _LOOK)

    def look(self, now: datetime) -> StreamObservation:
        """Empty the queue as far as one call can, and ask, in one step. Raises redis.RedisError."""
        horizon, left, trouble = self._look(
            [*KEYS, MOMENTS, FORMER_MOMENTS], [GROUP, to_microseconds(now)]
        )
        return StreamObservation(
            horizon=from_microseconds(int(horizon)) if horizon else None,
            left=int(left),
            trouble=trouble.decode("utf-8", "replace") or None,
        )

    def horizon(self, now: datetime) -> datetime | None:
        """Empty the queue and give the horizon; None without Redis: late is harmless, early not.

        A queue that cannot be emptied (Redis is full) leaves the horizon where it was.
        """
        try:
            look = self.look(now)
            looks = 1
            while look.left and look.trouble is None and looks < LOOKS_MAX:
                look = self.look(now)
                looks += 1
        except RedisError:
            return None
        if look.left:
            log.warning("queue_not_emptied", extra={"left": look.left, "error": look.trouble})
        return look.horizon

"""The watermark of rule 17: everything that was published before it has been applied.

What the clock does to a ticket is checked against it, so that a rollback counts from the moment it
was published, however far the intake lags. Neither a message on a Celery queue nor an entry's id
bears a time that could be trusted. So each observation drains the queue onto the stream and notes
the moment with the stream's last id: everything published before it is on the stream now, and has
no later id. The watermark is the newest such moment whose last id comes before all that is
unapplied.

Due times are PostgreSQL's, so moments are too: its clock is read before the observation, and what
was on the stream before the observation was there no later. Redis' clock decides nothing here.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from models.events.stream_contract import GROUP
from models.platform.timestamps import from_microseconds, to_microseconds
from worker.intake.celery_queue import MOVE
from worker.intake.noted_moments import NOTED
from worker.process.stream_keys import KEYS, StreamKeys

log = logging.getLogger(__name__)

OBSERVATIONS_MAX: Final = 100  # per round; they move 100,000 messages

# One step, so that no entry moves from "undelivered" to "pending" between two queries. The first
# entry of the stream does not count: one that is acknowledged but not deleted would hold everything
# up indefinitely. Ids are compared as digits: a number of Lua has no more than 15 of their 20. No
# more moments are noted than needed to be late by at most a thousandth of the intake's lag. Moments
# from the future are removed (PostgreSQL's clock was set back, or this process was held up), and so
# are those with a later id than the stream's last: it was created again, or its last id was reset.
_OBSERVE: Final = f"""
local stream, moments = KEYS[1], KEYS[#KEYS - 1]
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

redis.call('DEL', KEYS[#KEYS])
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
    return {{at, left, refusal}}
  end
end
return {{'', left, refusal}}
"""


@dataclass(frozen=True, slots=True)
class StreamObservation:
    """The state of stream and queue in one moment. *left*, *refusal*: as in `MovedMessages`."""

    watermark: datetime | None
    left: int
    refusal: str | None


class WatermarkSource(Protocol):
    """Where the sweep gets its watermark from."""

    def watermark(self, now: datetime) -> datetime | None:
        """Return the watermark, in the clock of *now*, or None if it cannot be known.

        *now* must have been read before the call.
        """
        ...


class StreamWatermark:
    """The watermark of the stream and the queue."""

    def __init__(self, redis: Redis, keys: StreamKeys = KEYS) -> None:
        """Use *redis*, which should give up within seconds."""
        self._keys = (keys.stream, *keys.queue, keys.moments, keys.former_moments)
        self._observe = redis.register_script("local beside = 2\n" + MOVE + _OBSERVE)

    def observe(self, now: datetime) -> StreamObservation:
        """Drain the queue as far as one call can, and observe the stream, in one step.

        Raises redis.RedisError.
        """
        watermark, left, refusal = self._observe(self._keys, [GROUP, to_microseconds(now)])
        return StreamObservation(
            watermark=from_microseconds(int(watermark)) if watermark else None,
            left=int(left),
            refusal=refusal.decode("utf-8", "replace") or None,
        )

    def watermark(self, now: datetime) -> datetime | None:
        """Drain the queue and return the watermark.

        Returns None without Redis: closing late is harmless, closing early is not. If the queue
        cannot be drained (Redis is full), the watermark stays where it was.
        """
        try:
            observation = self.observe(now)
            observations = 1
            while (
                observation.left and observation.refusal is None and observations < OBSERVATIONS_MAX
            ):
                observation = self.observe(now)
                observations += 1
        except RedisError:
            return None
        if observation.left:
            facts = {"left": observation.left, "error": observation.refusal}
            log.warning("celery_queue_not_drained", extra=facts)
        return observation.watermark

"""Counts the entries that were finished, beside the stream, so that what else vanishes is noticed.

Redis counts what was ever added. What was added, is no longer there and was not finished was lost:
`XADD` with MAXLEN trims what nobody has read, and no ACL rule can forbid that. The count has an
identity, `birth`: when Redis is emptied or the stream deleted, it ends and a new one begins.

Both scripts run where Redis is full: what they write may fail, what they finish may not.
"""

from typing import Any, Final

from redis import Redis

from models.events.stream_contract import GROUP
from models.monitoring.stream_count import StreamCount
from models.platform.timestamps import from_microseconds
from worker.process.stream_keys import KEYS, StreamKeys

# Ends the names of consumers that keep the count. Where one without it is reading, an intake of an
# earlier version, nobody knows what it finished.
COUNTING: Final = "-counting"

# XACK tells what was pending, XDEL what was there. Either alone misses something: an entry that was
# trimmed while it was being applied, one that is pending nowhere since its group was created again.
# An entry that two intakes finish counts once.
FINISH: Final = """
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
local deleted = redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
redis.pcall('HINCRBY', KEYS[2], 'finished', math.max(acknowledged, deleted))
return redis.call('TIME')
"""

_COUNT: Final = """
local stream, counter = KEYS[1], KEYS[2]
local function exactly(number) return string.format('%.0f', number) end
local function named(raw)
  local facts = {}
  for i = 1, #raw, 2 do facts[raw[i]] = raw[i + 1] end
  return facts
end
local function id_of(entries) return entries[1] and entries[1][1] or '' end

local time = redis.call('TIME')
local now = exactly(time[1] * 1000000 + time[2])
local added, length, last, uncounted = 0, 0, '0-0', false
if redis.call('EXISTS', stream) == 1 then
  local facts = named(redis.call('XINFO', 'STREAM', stream))
  added, length, last = facts['entries-added'], facts['length'], facts['last-generated-id']
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if named(group)['name'] == ARGV[1] then
      for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, ARGV[1])) do
        uncounted = uncounted or string.match(named(consumer)['name'], '%-%d+%-%x%x%x%x%x%x%x%x$')
      end
    end
  end
end
local birth = redis.call('HGET', counter, 'birth')
local finished = tonumber(redis.call('HGET', counter, 'finished') or 0)
local ended = finished + length > added  -- this stream is not the one that was counted
if not birth or ended or uncounted then
  finished = added - length
  if not birth or ended then birth = now end
  redis.call('HSET', counter, 'birth', birth, 'finished', exactly(finished))
end
local first = id_of(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1))
return {now, birth, exactly(added), exactly(finished), exactly(length), first, last}
"""


class FinishedCount:
    """Reads the count."""

    def __init__(self, redis: Redis, keys: StreamKeys = KEYS) -> None:
        """Use *redis*, which should give up within seconds."""
        self._keys = keys
        self._count = redis.register_script(_COUNT)

    def read(self) -> StreamCount:
        """Return what was added, finished and waits, all of one moment, by Redis' clock.

        Raises redis.RedisError, also if the key is not a stream.
        """
        raw: list[Any] = self._count([self._keys.stream, self._keys.finished], [GROUP])
        now, birth, added, finished, waiting, first, last = (word.decode() for word in raw)
        return StreamCount(
            at=from_microseconds(int(now)),
            birth=int(birth),
            added=int(added),
            finished=int(finished),
            waiting=int(waiting),
            first_id=first or None,
            last_id=last,
        )

"""Events put on the stream by Redis itself: a wave that costs its publisher nothing."""

from redis import Redis

from producers.publisher import STREAM

AT_ONCE = 10_000
# What a backend sends of a win: ids and the time it happened.
_FILL = """
for number = ARGV[1], ARGV[2] do
  local id = string.format('%s-%07d', ARGV[3], number)
  redis.call('XADD', KEYS[1], '*', 'event',
    '{"event_id":"win-' .. id .. '","action":"ticket_win",'
    .. '"occurred_at":"2026-11-20T10:00:00.123Z",'
    .. '"data":{"operator":"acme","ticket_id":"' .. id .. '"}}')
end
"""


def fill(redis: Redis, events: int, *, name: str = "T") -> None:
    """Publish *events* wins, a ticket each."""
    put = redis.register_script(_FILL)
    for first in range(1, events + 1, AT_ONCE):
        put([STREAM], [first, min(first + AT_ONCE - 1, events), name])

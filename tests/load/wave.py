"""Events put on the stream by Redis itself: a wave that costs its publisher nothing."""

import json
from datetime import UTC, datetime

from redis import Redis

from models.events.event import Entry
from models.events.stream_contract import STREAM
from tests.load.environment import operator_code

AT_ONCE = 10_000
# What a backend sends of a win: ids and the time it happened. Partners take turns.
_FILL = """
local codes = cjson.decode(ARGV[5])
for number = ARGV[1], ARGV[2] do
  local id = string.format('%s-%07d', ARGV[3], number)
  redis.call('XADD', KEYS[1], '*', 'event',
    '{"event_id":"win-' .. id .. '","action":"ticket_win",'
    .. '"occurred_at":"' .. ARGV[4] .. '",'
    .. '"data":{"operator":"' .. codes[number % #codes + 1] .. '","ticket_id":"' .. id .. '"}}')
end
"""


def fill(redis: Redis, events: int, *, name: str = "T", operators: int = 1) -> None:
    """Publish *events* wins, a ticket each, of so many operators."""
    put = redis.register_script(_FILL)
    codes = json.dumps([operator_code(number) for number in range(operators)])
    for first in range(1, events + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, events)
        put([STREAM], [first, last, name, worded(present()), codes])


def entry_of(fields: dict[str, str]) -> Entry:
    """Make an entry as if it had just been added."""
    entry_id = f"{int(present().timestamp() * 1000)}-0"
    return Entry(entry_id, {name.encode(): field.encode() for name, field in fields.items()})


def present() -> datetime:
    """Return the moment: an event must not be too old when it comes, whenever this is run."""
    return datetime.now(UTC)  # noqa: TID251 - a publisher's clock


def worded(moment: datetime) -> str:
    """Format it as a backend does."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The Lua that moves messages from the lists of the queue `tickets` to the stream, in one step."""

from typing import Final

from models.events.stream_contract import CELERY_TYPE, EVENT_FIELD, STREAM, TYPE_FIELD

QUEUE: Final = "tickets"
# kombu keeps a list per priority step, each emptied before the next; 0 is the most urgent. Its own
# separator stands between queue and step (celery-on-redis.md 5.1).
LISTS: Final = (QUEUE, *(f"{QUEUE}\x06\x16{step}" for step in (3, 6, 9)))
KEYS: Final = (STREAM, *LISTS)
MESSAGES_MAX: Final = 1_000  # a call; Redis does nothing else meanwhile, some 5 ms
BYTES_MAX: Final = 8 * 1024 * 1024  # a call, whatever the messages' size

# A moved message, in the stream's contract: the field `type` with its value, and `event`.
_FIELDS: Final = ", ".join(f"'{part.decode()}'" for part in (TYPE_FIELD, CELERY_TYPE, EVENT_FIELD))

# Sets `moved`, `left` (what still waits) and `trouble` (why Redis refused, such as OOM). Written
# first, removed after: what cannot be recorded stays where it is. A key of another kind holds no
# message, so it counts as empty. A server that was the primary until a failover answers with an
# error: it tells the client that its connection leads to the wrong one.
MOVE: Final = f"""
local moved, bytes, left, trouble = 0, 0, 0, ''
for place = 2, {len(KEYS)} do
  local length = redis.pcall('LLEN', KEYS[place])
  if type(length) ~= 'number' then length = 0 end
  while length > 0 and moved < {MESSAGES_MAX} and bytes < {BYTES_MAX} and trouble == '' do
    local oldest = redis.call('LRANGE', KEYS[place], -math.min(50, {MESSAGES_MAX} - moved), -1)
    local added = 0
    while added < #oldest and bytes < {BYTES_MAX} do
      local message = oldest[#oldest - added]
      local entry = redis.pcall('XADD', KEYS[1], '*', {_FIELDS}, message)
      if type(entry) == 'table' then
        trouble = entry['err']
        if string.find(trouble, '^READONLY') then return entry end
        break
      end
      added, bytes = added + 1, bytes + #message
    end
    if added > 0 then redis.call('LTRIM', KEYS[place], 0, -added - 1) end
    moved, length = moved + added, length - added
  end
  left = left + length
end
"""
ANSWER: Final = "return {moved, left, trouble}"

"""The Celery queue `tickets`: what Celery and kombu publish there moves to the stream.

No worker executes these messages. They are added to the stream as they are, and decoded there like
any other entry (`models.events.celery_message`): a malformed one stops nothing. The intake drains
the queue all the time (`QueueDrain`), the sweep before it decides what is due
(`worker.sweep.watermark`).

The queue lives on the server of the stream (SLIPWAY_REDIS_URL, same database): one step cannot span
two. Its publishers use kombu's own priority steps (0, 3, 6, 9) and no `global_keyprefix`. On a
cluster there is no such queue: kombu cannot publish there.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from models.events.stream_contract import CELERY_TYPE, EVENT_FIELD, TYPE_FIELD
from models.platform.backoff import Backoff
from worker.process.outage import Outage, reason_of
from worker.process.stream_keys import KEYS, StreamKeys

log = logging.getLogger(__name__)

MESSAGES_MAX: Final = 1_000  # per call, which blocks Redis for some 5 ms
BYTES_MAX: Final = 8 * 1024 * 1024  # per call, whatever the messages' size
INTERVAL: Final = timedelta(milliseconds=50)  # the latency that the queue adds at most

# A moved message, in the stream's contract: the field `type` with its value, and `event`.
_FIELDS: Final = ", ".join(f"'{part.decode()}'" for part in (TYPE_FIELD, CELERY_TYPE, EVENT_FIELD))

# Moves messages from the lists to the stream, in one step. The stream is the first key, and the
# others are the lists, but for the last `beside`. Sets `moved`, `left` (what still waits) and
# `refusal` (Redis' reason, such as OOM). Messages are added first and removed after: what cannot be
# added stays where it is. A key of another type holds no message and counts as empty. A server
# that was the primary until a failover answers with an error: it tells the client that its
# connection leads to the wrong server.
MOVE: Final = f"""
local moved, bytes, left, refusal = 0, 0, 0, ''
for place = 2, #KEYS - beside do
  local length = redis.pcall('LLEN', KEYS[place])
  if type(length) ~= 'number' then length = 0 end
  while length > 0 and moved < {MESSAGES_MAX} and bytes < {BYTES_MAX} and refusal == '' do
    local oldest = redis.call('LRANGE', KEYS[place], -math.min(50, {MESSAGES_MAX} - moved), -1)
    local added = 0
    while added < #oldest and bytes < {BYTES_MAX} do
      local message = oldest[#oldest - added]
      local entry = redis.pcall('XADD', KEYS[1], '*', {_FIELDS}, message)
      if type(entry) == 'table' then
        refusal = entry['err']
        if string.find(refusal, '^READONLY') then return entry end
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
_RESULT: Final = "return {moved, left, refusal}"


@dataclass(frozen=True, slots=True)
class MovedMessages:
    """How many messages were moved to the stream, and how many still wait in the lists.

    *refusal*: what Redis answered when it refused the next one; no message is lost by that.
    """

    messages: int
    left: int
    refusal: str | None = None


class CeleryQueue:
    """The lists of the queue, the most urgent first, each from its oldest message on."""

    def __init__(self, redis: Redis, keys: StreamKeys = KEYS) -> None:
        """Use *redis*: the server of the stream, and the same database of it."""
        self._keys = (keys.stream, *keys.queue)
        self._move = redis.register_script("local beside = 0\n" + MOVE + _RESULT)

    def drain(self) -> MovedMessages:
        """Move up to 1,000 messages or 8 MiB in one step. Raises redis.RedisError."""
        moved, left, refusal = self._move(self._keys)
        return MovedMessages(int(moved), int(left), refusal.decode("utf-8", "replace") or None)


class QueueDrain:
    """Drains the queue every 50 ms, again at once while there is more. Never gives up.

    In a thread and on a connection of its own: while a batch is applied, or the database is
    unavailable, messages still reach the stream. A rollback counts from there.
    """

    def __init__(self, queue: CeleryQueue, *, interval: timedelta = INTERVAL) -> None:
        """Prepare; nothing is queried before `run`."""
        self._queue = queue
        self._interval = interval
        self._backoff = Backoff()
        self._outage = Outage(log, "celery_queue_drain_interrupted", "celery_queue_drain_resumed")

    def run(self, stop: Event) -> None:
        """Work until *stop*. Raises nothing."""
        while not stop.is_set():
            stop.wait(self._drain().total_seconds())

    def _drain(self) -> timedelta:
        """Drain once; return how long to wait before the next time."""
        try:
            moved = self._queue.drain()
        except RedisError as error:
            return self._refused(reason_of(error))
        except Exception:
            log.exception("celery_queue_drain_failed")
            return self._backoff.next()
        if moved.refusal is not None:
            return self._refused(moved.refusal)
        self._backoff.reset()
        self._outage.over()
        return timedelta() if moved.left else self._interval

    def _refused(self, reason: str) -> timedelta:
        self._outage.failed(reason)
        return self._backoff.next()

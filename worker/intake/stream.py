"""The consumer group `slipway` on the stream `ticket-events`: read, take over, finish.

An entry is pending from the moment it is read until it is finished, in Redis itself, so a process
that dies loses nothing: another one takes the entry over. Every method raises `redis.RedisError`
when Redis cannot be asked; all of them may simply be called again.
"""

import os
import secrets
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.events.event import Entry
from models.events.stream_contract import GROUP, STREAM
from models.platform.durations import whole_milliseconds
from models.platform.timestamps import entry_id_time, from_microseconds
from worker.intake.fields import keep_every_field
from worker.intake.noted_moments import read_moments
from worker.intake.reclaim import Pending, to_take

# What one read holds in memory: entries have up to 512 KiB, and a chunk hundreds of them. Redis
# counts entries alone, so they are asked for in portions; one more may come when it is reached.
READ_BYTES_MAX: Final = 8 * 1024 * 1024
PORTION: Final = 64

Answer = TypeVar("Answer")
_Handed = tuple[str, Mapping[bytes, bytes]]  # an entry's id and fields
_FREE_TO_TAKE: Final = timedelta(days=1)  # the idle time given to what is handed back
# Checked and deleted in one step: DELCONSUMER throws away what its consumer has pending.
_RETIRE: Final = """
local retired = 0
for _, raw in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #raw, 2 do consumer[raw[i]] = raw[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[2])
     and (ARGV[3] == '' or consumer['name'] == ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    retired = retired + 1
  end
end
return retired
"""


def consumer_name() -> str:
    """Make a name no other process has or had, so that what is pending under it is ours alone."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Stream:
    """One consumer of the group.

    For one thread at a time, but for `finish` and `hand_back`: those, any thread may call.
    """

    def __init__(self, redis: Redis, *, consumer: str) -> None:
        """Use *redis*, whose socket timeout must be longer than any `block`."""
        keep_every_field(redis)
        self._redis = redis
        self._consumer = consumer
        self._lost_answer = False  # Redis may have handed us entries that never arrived
        self._portion = PORTION
        self._retire = redis.register_script(_RETIRE)

    def read(self, *, count: int, block: timedelta) -> list[Entry]:
        """Read up to *count* new entries; with none there, wait up to *block* for the first.

        Large entries are fewer: a read ends with the portion in which its size is reached.
        """
        read: list[_Handed] = []
        size = 0
        wait: int | None = whole_milliseconds(block)
        while len(read) < count and size < READ_BYTES_MAX:
            asked = min(count - len(read), self._portion)
            part = self._read_portion(asked, wait, begun=bool(read))
            read += part
            size += self._sized(part)
            if len(part) < asked:
                break
            wait = None  # there is something to do
        return self._entries(read)

    def claim_stale(self, *, min_idle: timedelta, count: int) -> list[Entry]:
        """Take over up to *count* entries that a consumer was handed *min_idle* ago or earlier.

        Also what was handed to ourselves in an answer that never came. Call it with nothing in
        hand. An entry handed out for the third time comes alone. `deliveries` counts this one too.
        Bounded in size as `read`: call it again while it gives entries.
        """
        own = self._lost_answer
        asked = _moment(self._redis.time())  # before it is asked who is idle for how long
        pending = self._pending(count, timedelta() if own else min_idle, mine=own)
        taken = to_take(pending)
        if not taken:
            self._lost_answer = False
            return []
        idle = 0 if own else whole_milliseconds(min_idle)  # another one may have been faster
        claimed: list[_Handed] = []
        size = place = 0
        while place < len(taken) and size < READ_BYTES_MAX:
            portion = taken[place : place + self._portion]
            part = self._claim_portion([one.id for one in portion], idle)
            place += len(portion)
            claimed += part
            size += self._sized(part)
        before = {entry.id: entry for entry in taken}
        return [_taken_over(one, before[one.id], asked) for one in self._entries(claimed)]

    def hand_back(self, entries: Sequence[Entry]) -> None:
        """Give up entries untouched: anybody may take them now, and the handing out does not count.

        For when not the entries but the database was the trouble: an outage must not look like an
        entry that kills its readers.
        """
        by_deliveries: defaultdict[int, list[Any]] = defaultdict(list)
        for entry in entries:
            by_deliveries[entry.deliveries].append(entry.id)
        for deliveries, ids in by_deliveries.items():
            self._redis.xclaim(
                STREAM,
                GROUP,
                self._consumer,
                min_idle_time=0,
                message_ids=ids,
                idle=whole_milliseconds(_FREE_TO_TAKE),
                retrycount=deliveries - 1,
                justid=True,
            )

    def finish(self, ids: Iterable[str]) -> datetime:
        """Take applied entries off the group and off the stream, in one step; give its moment.

        The moment is told by Redis' clock, as are the entries' ids. (Between two steps a dying
        process would leave an entry that is first of the stream for ever and in nobody's pending
        list.) Never before the COMMIT.
        """
        done = list(ids)
        with self._redis.pipeline(transaction=True) as both:
            both.xack(STREAM, GROUP, *done)
            both.xdel(STREAM, *done)
            both.time()
            return _moment(both.execute()[-1])

    def retire_consumers(self, *, idle: timedelta) -> int:
        """Forget consumers without anything pending that have not asked for *idle*; count them."""
        return self._forget(idle, "")

    def leave(self) -> None:
        """Forget this consumer, unless something is pending under its name."""
        self._forget(timedelta(), self._consumer)

    def _read_portion(self, count: int, wait: int | None, *, begun: bool) -> list[_Handed]:
        try:
            answer: Any = self._in_group(
                lambda: self._redis.xreadgroup(
                    GROUP, self._consumer, {STREAM: ">"}, count=count, block=wait
                )
            )
        except RedisError as error:
            # An error that is an answer handed nothing out; what came before is in our name.
            self._lost_answer = begun or not isinstance(error, ResponseError) or self._lost_answer
            raise
        return [(id_.decode(), fields) for _, part in answer for id_, fields in part]

    def _claim_portion(self, ids: Sequence[str], idle: int) -> list[_Handed]:
        try:
            claimed: Any = self._redis.xclaim(
                STREAM, GROUP, self._consumer, min_idle_time=idle, message_ids=[*ids]
            )
        except RedisError:  # a portion before this one may be in our name
            self._lost_answer = True
            raise
        return [(id_.decode(), fields) for id_, fields in claimed if fields is not None]

    def _sized(self, part: Sequence[_Handed]) -> int:
        """Add up the bytes of *part*; where an entry is large, the next portion is smaller."""
        sizes = [sum(map(len, fields.values())) for _, fields in part]
        if sizes:
            self._portion = max(1, min(PORTION, READ_BYTES_MAX // max(1, *sizes)))
        return sum(sizes)

    def _entries(self, handed: Sequence[_Handed]) -> list[Entry]:
        """Make entries of what was just handed to us (id, fields), in order of ids.

        By when they were there (rule 3) takes a short round trip. Only ids from the future, which
        tell no time, take a second one. What one read returned is a microsecond apart, so that
        such entries keep their order beside what another intake has in hand.
        """
        if not handed:
            return []
        try:
            now = _moment(self._redis.time())
            moments = read_moments(self._redis) if entry_id_time(handed[-1][0]) > now else None
        except RedisError:  # they stay pending under our name
            self._lost_answer = True
            raise
        return [
            Entry(
                id_,
                fields,
                read_at=now + place * timedelta.resolution,
                seen_at=None if moments is None else moments.seen_at(id_),
            )
            for place, (id_, fields) in enumerate(handed)
        ]

    def _forget(self, idle: timedelta, name: str) -> int:
        return int(
            self._in_group(lambda: self._retire([STREAM], [GROUP, whole_milliseconds(idle), name]))
        )

    def _pending(self, count: int, idle: timedelta, *, mine: bool) -> list[Pending]:
        found: list[dict[str, Any]] = self._in_group(
            lambda: self._redis.xpending_range(
                STREAM,
                GROUP,
                min="-",
                max="+",
                count=count,
                consumername=self._consumer if mine else None,
                idle=whole_milliseconds(idle) or None,
            )
        )
        return [
            Pending(
                id=one["message_id"].decode(),
                idle=timedelta(milliseconds=one["time_since_delivered"]),
                deliveries=one["times_delivered"],
            )
            for one in found
        ]

    def _in_group(self, ask: Callable[[], Answer]) -> Answer:
        """Ask; if stream or group are gone (or never were), make them and ask again.

        The group begins at 0: what is on the stream and was not deleted was not finished.
        """
        try:
            return ask()
        except ResponseError as refusal:
            if not any(word in str(refusal) for word in ("NOGROUP", "no such key", "UNBLOCKED")):
                raise
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as refusal:
            if "BUSYGROUP" not in str(refusal):  # another process was faster
                raise
        return ask()


def _taken_over(entry: Entry, before: Pending, asked: datetime) -> Entry:
    """Say of an entry of another consumer that it was there when that one was handed it.

    So what a dead consumer read stands in the same order as what others read meanwhile. *asked* is
    the time before Redis was asked, which rounds to milliseconds. Handing back sets an idle time
    that tells nothing.
    """
    seen = entry.seen_at
    if before.idle < _FREE_TO_TAKE:
        handed_out = asked - before.idle - timedelta(milliseconds=1)
        seen = handed_out if seen is None else min(handed_out, seen)
    return replace(entry, deliveries=before.deliveries + 1, seen_at=seen)


def _moment(told: tuple[int, int]) -> datetime:
    """The answer to TIME."""
    seconds, microseconds = told
    return from_microseconds(seconds * 1_000_000 + microseconds)

"""The consumer group `slipway` on the stream `ticket-events`: read, reclaim, acknowledge.

An entry is pending from the moment it is read until it is acknowledged, in Redis itself, so a
process that dies loses nothing: another one reclaims the entry. Every method raises
`redis.RedisError` when Redis is unavailable; all of them may simply be called again.
"""

import os
import secrets
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from models.events.event import Entry
from models.events.stream_contract import GROUP
from models.platform.durations import whole_milliseconds
from models.platform.timestamps import entry_id_time, from_microseconds
from worker.intake.finished_count import COUNTING, FINISH
from worker.intake.noted_moments import read_moments
from worker.process.stream_keys import KEYS, StreamKeys

# Bounds what one read holds in memory: an entry has up to 512 KiB, and a batch hundreds of them.
# Redis counts entries only, so they are read in portions; the last portion may exceed the bound.
READ_BYTES_MAX: Final = 8 * 1024 * 1024
PORTION: Final = 64
ALONE_FROM: Final = 3  # the delivery from which an entry is suspected of killing its readers

Reply = TypeVar("Reply")
_RawEntry = tuple[str, Mapping[bytes, bytes]]  # an entry's id and fields
# The start of redis-py's error where XREADGROUP was refused, and not the command sent with it.
_READ_REFUSED: Final = "Command # 1 "
_RELEASED_IDLE: Final = timedelta(days=1)  # the idle time given to released entries
# Checked and deleted in one step: DELCONSUMER discards what its consumer has pending.
_REMOVE_CONSUMERS: Final = """
local removed = 0
for _, raw in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #raw, 2 do consumer[raw[i]] = raw[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[2])
     and (ARGV[3] == '' or consumer['name'] == ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    removed = removed + 1
  end
end
return removed
"""


def consumer_name() -> str:
    """Return a name that no other process has or had, so that its pending entries are ours."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{COUNTING}"


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry that was delivered to a consumer and not acknowledged."""

    id: str
    idle: timedelta
    deliveries: int


def choose_to_reclaim(pending: Sequence[PendingEntry]) -> list[PendingEntry]:
    """Return the entries to claim together: all that are not suspects, or the oldest suspect (H46).

    Only these are claimed, and claiming is what counts a delivery. (XAUTOCLAIM would deliver all of
    them: with one that kills its readers among 500, the others would be counted along with it, and
    stored as rejected input at the sixth delivery although nothing is wrong with them.)
    """
    unsuspected = [entry for entry in pending if entry.deliveries + 1 < ALONE_FROM]
    return unsuspected or list(pending[:1])


class Stream:
    """One consumer of the group.

    Not thread-safe, except for `acknowledge` and `release`.
    """

    def __init__(self, redis: Redis, *, consumer: str, keys: StreamKeys = KEYS) -> None:
        """Use *redis*, whose socket timeout must be longer than any `block`."""
        self._keys = keys
        self._key = keys.stream
        self._finished_keys = (keys.stream, keys.finished)
        redis.set_response_callback("XREADGROUP", _parse_read)
        redis.set_response_callback("XCLAIM", _parse_claim)
        self._redis = redis
        self._consumer = consumer
        self._lost_reply = False  # Redis may have delivered entries to us that never arrived
        self._portion = PORTION
        self._remove_consumers = redis.register_script(_REMOVE_CONSUMERS)
        self._finish = redis.register_script(FINISH)

    @property
    def name(self) -> str:
        """The key of the stream."""
        return self._key

    def read(self, *, count: int, block: timedelta) -> list[Entry]:
        """Read up to *count* new entries; if there are none, wait up to *block* for the first.

        Returns fewer if they are large: a read ends with the portion that reaches the size bound.
        """
        read: list[_RawEntry] = []
        size = 0
        wait: int | None = whole_milliseconds(block)
        now: datetime | None = None
        while len(read) < count and size < READ_BYTES_MAX:
            portion_count = min(count - len(read), self._portion)
            portion, now = self._read_portion(portion_count, wait, begun=bool(read))
            read += portion
            size += self._size_of(portion)
            if len(portion) < portion_count:
                break
            wait = None  # there is something to do
        return self._entries(read, now)

    def reclaim(self, *, min_idle: timedelta, count: int) -> list[Entry]:
        """Take over up to *count* entries that a consumer was given *min_idle* ago or earlier.

        Includes entries delivered to this consumer in a reply that never arrived: call it while no
        batch is running. An entry that is delivered for the third time comes alone. `deliveries`
        counts this one too. Bounded in size like `read`: call it again while it returns entries.
        """
        own = self._lost_reply
        checked_at = _moment(self._redis.time())  # before the idle times are queried
        pending = self._pending(count, timedelta() if own else min_idle, mine=own)
        chosen = choose_to_reclaim(pending)
        if not chosen:
            self._lost_reply = False
            return []
        idle = 0 if own else whole_milliseconds(min_idle)  # another process may have been faster
        claimed: list[_RawEntry] = []
        size = place = 0
        while place < len(chosen) and size < READ_BYTES_MAX:
            to_claim = chosen[place : place + self._portion]
            portion = self._claim_portion([entry.id for entry in to_claim], idle)
            place += len(to_claim)
            claimed += portion
            size += self._size_of(portion)
        before = {entry.id: entry for entry in chosen}
        return [_reclaimed(entry, before[entry.id], checked_at) for entry in self._entries(claimed)]

    def release(self, entries: Sequence[Entry]) -> None:
        """Give up unapplied entries: any consumer may take them, and this delivery does not count.

        For when the database failed and not the entries: an outage must not look like an entry that
        kills its readers.
        """
        by_deliveries: defaultdict[int, list[Any]] = defaultdict(list)
        for entry in entries:
            by_deliveries[entry.deliveries].append(entry.id)
        for deliveries, ids in by_deliveries.items():
            self._redis.xclaim(
                self._key,
                GROUP,
                self._consumer,
                min_idle_time=0,
                message_ids=ids,
                idle=whole_milliseconds(_RELEASED_IDLE),
                retrycount=deliveries - 1,
                justid=True,
            )

    def acknowledge(self, ids: Iterable[str]) -> datetime:
        """Remove applied entries from the group and from the stream, in one step; return when.

        They are counted, so that those that vanish otherwise are noticed. The time is Redis', as
        are the entries' ids. (Between two steps a dying process would leave
        an entry that stays the first of the stream indefinitely and is pending nowhere.) Never call
        it before the COMMIT.
        """
        done = list(ids)
        seconds, microseconds = self._finish(self._finished_keys, [GROUP, *done])
        return _moment((int(seconds), int(microseconds)))

    def remove_idle_consumers(self, *, idle: timedelta) -> int:
        """Remove consumers with nothing pending that have not read for *idle*; return how many."""
        return self._remove(idle, "")

    def remove_consumer(self) -> None:
        """Remove this consumer, unless it has pending entries."""
        self._remove(timedelta(), self._consumer)

    def _read_portion(
        self, count: int, wait: int | None, *, begun: bool
    ) -> tuple[list[_RawEntry], datetime | None]:
        """Return entries and, of the first portion, Redis' time once they were read.

        That one comes in the same round trip, which is all that the read of a few entries takes.
        """

        def ask(redis: Redis) -> Any:  # noqa: ANN401 - redis-py's reply
            return redis.xreadgroup(
                GROUP, self._consumer, {self._key: ">"}, count=count, block=wait
            )

        def ask_both() -> Any:  # noqa: ANN401 - redis-py's replies
            with self._redis.pipeline(transaction=False) as commands:
                ask(commands)
                commands.time()
                return commands.execute()

        try:
            if begun:
                reply, time = self._in_group(lambda: ask(self._redis)), None
            else:
                reply, time = self._in_group(ask_both)
        except RedisError as error:
            # An error reply delivers nothing; the portions before it are pending in our name.
            refused = isinstance(error, ResponseError) and str(error).startswith(_READ_REFUSED)
            self._lost_reply = begun or not refused or self._lost_reply
            raise
        raw = [(id_.decode(), fields) for _, entries in reply for id_, fields in entries]
        return raw, None if time is None else _moment(time)

    def _claim_portion(self, ids: Sequence[str], idle: int) -> list[_RawEntry]:
        try:
            reply: Any = self._redis.xclaim(
                self._key, GROUP, self._consumer, min_idle_time=idle, message_ids=[*ids]
            )
        except RedisError:  # a portion before this one may be pending in our name
            self._lost_reply = True
            raise
        return [(id_.decode(), fields) for id_, fields in reply if fields is not None]

    def _size_of(self, portion: Sequence[_RawEntry]) -> int:
        """Return the bytes of *portion*; where an entry is large, the next portion is smaller."""
        sizes = [sum(map(len, fields.values())) for _, fields in portion]
        if sizes:
            self._portion = max(1, min(PORTION, READ_BYTES_MAX // max(1, *sizes)))
        return sum(sizes)

    def _entries(
        self, raw_entries: Sequence[_RawEntry], now: datetime | None = None
    ) -> list[Entry]:
        """Make entries of what was just read, in order of ids.

        *now*: the time by which they were there (rule 3), if it came with them; it takes a short
        round trip else. Ids from the future, which tell no time, take one more. The entries of one
        read are a microsecond apart, so that they keep their order next to those of another intake.
        """
        if not raw_entries:
            return []
        try:
            now = _moment(self._redis.time()) if now is None else now
            is_ahead = entry_id_time(raw_entries[-1][0]) > now
            moments = read_moments(self._redis, self._keys) if is_ahead else None
        except RedisError:  # they stay pending in our name
            self._lost_reply = True
            raise
        return [
            Entry(
                id_,
                fields,
                read_at=now + place * timedelta.resolution,
                seen_at=None if moments is None else moments.seen_at(id_),
            )
            for place, (id_, fields) in enumerate(raw_entries)
        ]

    def _remove(self, idle: timedelta, name: str) -> int:
        milliseconds = whole_milliseconds(idle)
        return int(
            self._in_group(lambda: self._remove_consumers([self._key], [GROUP, milliseconds, name]))
        )

    def _pending(self, count: int, idle: timedelta, *, mine: bool) -> list[PendingEntry]:
        rows: list[dict[str, Any]] = self._in_group(
            lambda: self._redis.xpending_range(
                self._key,
                GROUP,
                min="-",
                max="+",
                count=count,
                consumername=self._consumer if mine else None,
                idle=whole_milliseconds(idle) or None,
            )
        )
        return [
            PendingEntry(
                id=row["message_id"].decode(),
                idle=timedelta(milliseconds=row["time_since_delivered"]),
                deliveries=row["times_delivered"],
            )
            for row in rows
        ]

    def _in_group(self, command: Callable[[], Reply]) -> Reply:
        """Run *command*; if the stream or the group is missing, create them and run it again.

        The group begins at 0: an entry that was not deleted was not applied.
        """
        try:
            return command()
        except ResponseError as refusal:
            if not any(part in str(refusal) for part in ("NOGROUP", "no such key", "UNBLOCKED")):
                raise
        try:
            self._redis.xgroup_create(self._key, GROUP, id="0", mkstream=True)
        except ResponseError as refusal:
            if "BUSYGROUP" not in str(refusal):  # another process was faster
                raise
        return command()


def _reclaimed(entry: Entry, before: PendingEntry, checked_at: datetime) -> Entry:
    """Note on an entry of another consumer that it was there when that one was given it.

    So what a dead consumer read is ordered like what others read meanwhile. *checked_at* is the
    time before Redis was queried; idle times are rounded to milliseconds. The idle time of a
    released entry tells nothing.
    """
    seen_at = entry.seen_at
    if before.idle < _RELEASED_IDLE:
        delivered_at = checked_at - before.idle - timedelta(milliseconds=1)
        seen_at = delivered_at if seen_at is None else min(delivered_at, seen_at)
    return replace(entry, deliveries=before.deliveries + 1, seen_at=seen_at)


def _moment(reply: tuple[int, int]) -> datetime:
    """Convert the reply to TIME."""
    seconds, microseconds = reply
    return from_microseconds(seconds * 1_000_000 + microseconds)


# Replies with entries, parsed here: where XADD was given a field twice, redis-py would keep the
# last one, and so decide which of two events counts.


def _parse_read(reply: Any, **_options: object) -> list[Any]:  # noqa: ANN401 - redis-py's signature
    streams = reply.items() if isinstance(reply, Mapping) else reply or ()  # RESP3: a map
    return [[stream, _parse_entries(entries)] for stream, entries in streams]


def _parse_claim(reply: Any, **options: object) -> Any:  # noqa: ANN401 - redis-py's signature
    return reply if options.get("parse_justid") else _parse_entries(reply)


def _parse_entries(entries: Sequence[Any]) -> list[Any]:
    """Return ids and fields; a deleted entry has none (before Redis 7 it is nil)."""
    return [
        (None, None)
        if entry is None
        else (entry[0], None if entry[1] is None else _parse_fields(entry[1]))
        for entry in entries
    ]


def _parse_fields(pairs: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the fields in *pairs*, alternating names and values.

    Where a name appears twice, every field gets a number after its name: none of them has the name
    that is expected, so the entry is no event, and is stored as rejected input with all it holds.
    """
    names, values = pairs[::2], pairs[1::2]
    fields = dict(zip(names, values, strict=True))
    if len(fields) == len(names):
        return fields
    seen: Counter[bytes] = Counter()
    numbered: dict[bytes, bytes] = {}
    for name, value in zip(names, values, strict=True):
        seen[name] += 1
        numbered[b"%s (%d)" % (name, seen[name])] = value
    return numbered

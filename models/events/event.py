"""An event as the rest of the program uses it: decoded, validated, with its place in time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from models.events.amounts import currency_of
from models.events.channels import Channel, channel_of
from models.events.stream_contract import ID_CHARACTERS_MAX, TYPE_FIELD
from models.platform.timestamps import entry_id_time
from models.vocabulary import Action, Reason

_FIRST_STREAMS: Final = datetime(2018, 10, 17, tzinfo=UTC)  # Redis 5.0
_DRAW = re.compile(rf"[0-9]{{1,{ID_CHARACTERS_MAX}}}")
# Above every arrival number in the log. A new event has no number yet and comes after all of them.
ARRIVALS_END: Final = 2**62


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream, as read.

    Both times are by Redis' clock and bound the time in the id; they are None where the id was made
    by this program, from a clock.
    """

    id: str  # "1732094400000-0": milliseconds of Redis' clock, and a counter
    fields: Mapping[bytes, bytes]
    deliveries: int = 1  # how often it was delivered to a consumer
    read_at: datetime | None = None
    seen_at: datetime | None = None  # a sweep, or an earlier consumer, had seen it by then

    @property
    def channel(self) -> Channel:
        """The channel it came in through."""
        return channel_of(self.fields.get(TYPE_FIELD))

    @property
    def received_at(self) -> datetime:
        """When it reached the stream, by Redis' clock: never later than it was seen or read.

        One id from the future raises every later one. Without this bound all events would then be
        too old, or be ordered in the future, where no rollback reaches them (rule 3). An id from
        before there were streams, such as a counter or seconds, is no time either: a rollback would
        be older than the result it withdraws. An entry that is read again may get another time of
        receipt. That is harmless: an event that was committed is a duplicate by its id, whatever
        its time; one that was not committed had no time yet.
        """
        claimed = entry_id_time(self.id)
        if claimed < _FIRST_STREAMS:
            return self.read_at or claimed
        return min(claimed, self.read_at or claimed, self.seen_at or claimed)


class Event(NamedTuple):
    """A statement about one ticket; *order_time* orders it (rule 3)."""

    event_id: str
    action: Action
    operator: str
    ticket_id: str
    data: dict[str, Any]
    occurred_at: datetime | None
    order_time: datetime
    received_at: datetime  # when it reached Slipway, by Redis' clock
    sequence: int | None = None
    entry_id: str | None = None
    read_at: datetime | None = None  # when its entry was read, by the same clock
    entry: Entry | None = None  # that brought it; None: it was read from the event log, or is ours
    traceparent: str | None = None  # the trace it belongs to, as `models.tracing` stores it

    @property
    def channel(self) -> Channel:
        """The channel it came in through."""
        return Channel.EARLIER if self.entry is None else self.entry.channel

    @property
    def lag(self) -> timedelta:
        """How long it had waited on the stream when it was read."""
        return timedelta() if self.read_at is None else self.read_at - self.received_at

    @property
    def is_correction(self) -> bool:
        """Whether it replaces the current result instead of contradicting it."""
        return self.data.get("correction") is True

    @property
    def currency(self) -> str | None:
        """The currency of its amounts, if it states one."""
        return currency_of(self.data)

    @property
    def draw(self) -> str | None:
        """The lottery draw it belongs to; None for any other event (contracts 3.2)."""
        lottery = self.data.get("lottery")
        if not isinstance(lottery, dict):
            return None
        draw = lottery.get("draw_id")
        return draw if isinstance(draw, str) and _DRAW.fullmatch(draw) else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that could not become an event: stored as rejected input, with what was wrong."""

    entry_id: str
    kind: str | None
    raw: bytes
    reason: Reason
    message: str
    received_at: datetime
    whole: bool  # *raw* is the entry's whole field `event`: it can be decoded again
    channel: Channel
    operator: str | None = None
    ticket_id: str | None = None
    event_id: str | None = None

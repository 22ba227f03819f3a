"""An event as the rest of the program sees it: read, checked, with its place in time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from models.lifecycle.words import Action, Reason

_DRAW = re.compile(r"[0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream, as read."""

    id: str  # "1732094400000-0": milliseconds of Redis' clock, and a counter
    fields: Mapping[bytes, bytes]
    deliveries: int = 1  # how often it was handed out to a consumer


class Event(NamedTuple):
    """A statement about one ticket. *order_time* is what orders it (rule 3)."""

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

    @property
    def is_correction(self) -> bool:
        """It replaces the standing result instead of contradicting it."""
        return self.data.get("correction") is True

    @property
    def draw(self) -> str | None:
        """The lottery draw it speaks of; none for what is not a lottery's (contracts 3.2)."""
        lottery = self.data.get("lottery")
        if not isinstance(lottery, dict):
            return None
        draw = lottery.get("draw_id")
        return draw if isinstance(draw, str) and _DRAW.fullmatch(draw) else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What could not become an event: kept raw, with what was wrong."""

    entry_id: str
    kind: str | None
    raw: bytes
    reason: Reason
    message: str
    received_at: datetime
    whole: bool  # *raw* is the entry's field `event` from end to end: it can be read again
    operator: str | None = None
    ticket_id: str | None = None
    event_id: str | None = None

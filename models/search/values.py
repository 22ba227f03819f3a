"""What a search returns."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MatchKind(StrEnum):
    """What the text turned out to be."""

    TICKET = "ticket"  # a ticket's id
    CODE = "code"  # a ticket's code
    PLAYER = "player"  # the player of tickets
    EVENT = "event"  # an event's id; also of input that was rejected before it became an event
    INPUT = "input"  # the id of a stream entry whose content was rejected
    NOTICE = "notice"  # a notice's number
    KEY = "key"  # a notice's idempotency key
    TRANSACTION = "transaction"  # the transaction id of a call to a seamless wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One ticket, event, notice or raw input, with the ticket that it belongs to.

    What a kind does not have is None. *outcome*: of an event or raw input how it ended, of a notice
    `waiting` or how it ended. *player_id* is personal data.
    """

    kind: MatchKind
    at: datetime  # a ticket and notice: created; an event: decided; raw input: rejected
    operator: str | None = None
    ticket_id: str | None = None
    status: str | None = None  # of the ticket, like `resulted/won`
    ticket_code: str | None = None
    player_id: str | None = None
    notice: int | None = None
    event_id: str | None = None
    entry_id: str | None = None  # of the stream
    action: str | None = None
    generation: int | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Matches:
    """The newest matches of one kind; *more*: there may be others, which are not shown."""

    kind: MatchKind
    lines: tuple[Match, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was searched for, as it was read, and the kinds that matched."""

    text: str
    kinds: tuple[Matches, ...]

"""The words of a ticket's life: statuses, results, actions, outcomes (design.md is their source).

Outsiders see these words on the wire, in the database and on screens, so they are the same
everywhere and are never translated.
"""

from enum import StrEnum


class Word(StrEnum):
    """A word that tables are looked up by; an enum's own hash is a call of Python, twice a look."""

    __hash__ = str.__hash__


class Status(Word):
    """Where a ticket stands. `absent`: its row exists, but nothing opened it yet (rule 1)."""

    ABSENT = "absent"
    NEW = "new"
    RESERVED = "reserved"
    OPEN = "open"
    RESULTED = "resulted"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Result(Word):
    """What came of the bet; `refunded` is ours and shows as `void` over the Bet Engine API."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"
    VOID = "void"
    REFUNDED = "refunded"


class Action(Word):
    """What happened to a ticket, in the partner protocol's own words (contracts: BetStack 1.4)."""

    OPEN = "ticket_open"
    CREATE = "ticket_create"
    RESERVE = "ticket_reserve"
    PAID = "ticket_paid"
    UPDATE = "ticket_update"
    DISCARD = "ticket_discard"
    WIN = "ticket_win"
    LOST = "ticket_lost"
    VOID = "ticket_void"
    REFUND = "ticket_refund"
    ROLLBACK = "ticket_rollback"
    CLOSED = "ticket_closed"  # outbound only: the clock's word, never accepted from outside


class Outcome(Word):
    """How an event ended (protocol.md). Only `parked` may still change."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFIRMED = "confirmed"
    SUPERSEDED = "superseded"
    PARKED = "parked"
    REJECTED = "rejected"


class Reason(Word):
    """Why an event ended as it did: words for filters, metrics and alerts."""

    # applied
    OPENED_IMPLICITLY = "opened_implicitly"
    CORRECTION = "correction"
    LATE_OPEN = "late_open"
    # confirmed
    SAME_RESULT = "same_result"
    ALREADY_CANCELLED = "already_cancelled"
    # superseded; all but the first are alarmed: a true statement from a slow clock looks like them
    OLDER_SAME = "older_same"
    OLDER_DIFFERS = "older_differs"
    OLDER_ROLLBACK = "older_rollback"
    OLDER_UPDATE = "older_update"
    # parked
    WAITS_FOR_TICKET = "waits_for_ticket"
    WAITS_FOR_RESULT = "waits_for_result"
    WAITS_FOR_ROLLBACK = "waits_for_rollback"
    WAITS_FOR_NUMBER = "waits_for_number"
    # rejected for the state of the ticket
    TICKET_CLOSED = "ticket_closed"
    TICKET_CANCELLED = "ticket_cancelled"
    ALREADY_KNOWN = "already_known"
    NOT_RESERVED = "not_reserved"
    ALREADY_OPEN = "already_open"
    OUT_OF_TURN = "out_of_turn"
    NUMBER_USED = "number_used"
    OTHER_DRAW = "other_draw"
    WINDOW_ENDED = "window_ended"
    TOO_MANY_PARKED = "too_many_parked"
    DROPPED = "dropped"  # by a person, while it was parked
    # rejected for the partner's protocol
    MISSING_FIELDS = "missing_fields"
    NO_SUCH_CALL = "no_such_call"
    OTHER_CURRENCY = "other_currency"
    CONTRADICTORY = "contradictory"  # and a wallet takes nothing back
    # rejected before it became an event of a ticket: kept raw
    EVENT_ID_REUSED = "event_id_reused"
    UNKNOWN_OPERATOR = "unknown_operator"
    UNKNOWN_ACTION = "unknown_action"
    UNKNOWN_TYPE = "unknown_type"
    TIMED = "timed"
    INVALID_EVENT = "invalid_event"
    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    TOO_OLD = "too_old"
    POISON = "poison"


class NoticeEnd(Word):
    """How a notice ended; an unfinished one has none. `dead` blocks its ticket for a person."""

    DELIVERED = "delivered"
    REFUSED = (
        "refused"  # create and reserve only: at most one send, and the partner did not say 200
    )
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"
    DEAD = "dead"


INBOUND = tuple(action for action in Action if action is not Action.CLOSED)
RESULT_OF = {
    Action.WIN: Result.WON,
    Action.LOST: Result.LOST,
    Action.VOID: Result.VOID,
    Action.REFUND: Result.REFUNDED,
}
RESULTS = frozenset(RESULT_OF)
SENT_ONCE = frozenset({Action.CREATE, Action.RESERVE})  # rule 10
PARKED_MAX = 32  # per ticket; one more is rejected (rule 7)

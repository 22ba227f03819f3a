"""The vocabulary of a ticket's life: statuses, results, actions, outcomes, reasons.

Outsiders see these words in messages, in the database and on screens, so they are the same
everywhere and are never translated.
"""

from enum import StrEnum


class Word(StrEnum):
    """An enum with the hash of its text: an enum's own is a Python call, twice for each lookup."""

    __hash__ = str.__hash__


class Status(Word):
    """The status of a ticket. `absent`: its row exists, but no event has opened it yet."""

    ABSENT = "absent"
    NEW = "new"
    RESERVED = "reserved"
    OPEN = "open"
    RESULTED = "resulted"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Result(Word):
    """The result of the bet; `refunded` is ours and is shown as `void` by the Bet Engine API."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"
    VOID = "void"
    REFUNDED = "refunded"


class Action(Word):
    """What happened to a ticket, in the partner protocol's own words."""

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
    CLOSED = "ticket_closed"  # sent by the sweep alone, never accepted from outside


class Outcome(Word):
    """How an event ended. Only `parked` may still change."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFIRMED = "confirmed"
    SUPERSEDED = "superseded"
    PARKED = "parked"
    REJECTED = "rejected"


class LeftToTicket(Word):
    """What an event's row leaves out of its data, because its ticket keeps it."""

    KEY = "key"  # operator and ticket id
    DETAILS = "details"  # these, and all of the ticket's details


class Reason(Word):
    """Why an event ended as it did, for filters, metrics and alerts."""

    # applied
    OPENED_IMPLICITLY = "opened_implicitly"
    CORRECTION = "correction"
    LATE_OPEN = "late_open"
    # confirmed
    SAME_RESULT = "same_result"
    ALREADY_CANCELLED = "already_cancelled"
    # superseded; all but the first raise an alert: a true event from a slow clock looks like them
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
    CONTRADICTORY = "contradictory"  # and a wallet cannot take it back
    # rejected before it became an event of a ticket: stored as rejected input
    EVENT_ID_REUSED = "event_id_reused"
    UNKNOWN_OPERATOR = "unknown_operator"
    OPERATOR_ENDED = "operator_ended"  # the partnership is over; of a known ticket: in its log
    TICKET_REMOVED = "ticket_removed"  # it ended, and left with the retention (rule 29)
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
    """How a notice ended, if it has. `dead` blocks its ticket until a person resolves it."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # create and reserve only: sent once, and the response was not 200
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"
    NOT_WANTED = "not_wanted"  # rule 27
    DEAD = "dead"


class JobState(Word):
    """How a job stands; the last three are final."""

    WAITING = "waiting"  # no batch so far
    RUNNING = "running"
    STOPPED = "stopped"  # by a person, between two batches
    DONE = "done"
    FAILED = "failed"


class Role(StrEnum):
    """What a user or an API token may do: each role allows what those before it allow."""

    VIEWER = "viewer"  # reads; players and amounts are masked
    SUPPORT = "support"  # works off tickets and notices
    OPERATIONS = "operations"  # changes partners and settings too

    @property
    def rank(self) -> int:
        """The role's place in the order."""
        return list(Role).index(self)

    def allows(self, needed: "Role") -> bool:
        """Return whether this role may do what needs *needed*."""
        return self.rank >= needed.rank


INBOUND = tuple(action for action in Action if action is not Action.CLOSED)
RESULT_OF = {
    Action.WIN: Result.WON,
    Action.LOST: Result.LOST,
    Action.VOID: Result.VOID,
    Action.REFUND: Result.REFUNDED,
}
RESULTS = frozenset(RESULT_OF)
SENT_ONCE = frozenset({Action.CREATE, Action.RESERVE})  # rule 10
PROTOCOLS = ("pam", "seamless")  # of operators
PARTNER_ENDED = "partner_ended"  # why the end of a partnership skips a notice (rule 24)
NOT_WANTED = "the partner does not want it"  # the reason of a notice that is not sent (rule 27)
# A rollback is sent if its result was; money hangs on the others.
CAN_BE_LEFT_OUT = RESULTS | {Action.UPDATE, Action.CLOSED}
PARKED_MAX = 32  # per ticket; one more is rejected (rule 7)


class ErasurePhase(Word):
    """How far the erasure of a player is."""

    SEARCHING = "searching"  # finds the player's tickets, and blanks those that have ended
    WAITING = "waiting"  # for tickets that have not ended
    FINISHING = "finishing"  # looks through what was written since the search
    DONE = "done"

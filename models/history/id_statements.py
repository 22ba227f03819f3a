"""Statements that find events by their id, and the columns of the log's lines."""

from typing import Final

from sqlalchemy import TextClause, text

from models.history.ticket_status import TICKET_STATUS
from models.vocabulary import Reason

# At the same time, events of tickets come before raw input.
EVENT_KIND: Final = 2
RAW_KIND: Final = 1

# Who dropped an event and why is internal.
_MESSAGE: Final = f"""
    CASE e.reason WHEN '{Reason.DROPPED}' THEN 'dropped by hand' ELSE e.message END AS message"""
EVENT_COLUMNS: Final = f"""
    e.decided_at AS at, {EVENT_KIND} AS kind, e.arrival AS number, o.code AS operator, t.ticket_id,
    e.event_id, e.entry_id, e.action, e.sequence, e.outcome, e.reason, {_MESSAGE}, e.occurred_at,
    e.received_at, e.park_until, e.repeats, e.traceparent,
    {TICKET_STATUS} AS ticket_status,
    t.close_due_at AS ticket_close_due_at, t.closed_at AS ticket_closed_at"""
RAW_COLUMNS: Final = f"""
    r.rejected_at AS at, {RAW_KIND} AS kind, r.id AS number, r.operator, r.ticket_id,
    r.event_id, r.entry_id, NULL AS action, NULL AS sequence, 'rejected' AS outcome, r.reason,
    r.message, NULL AS occurred_at, r.received_at, NULL AS park_until, 0 AS repeats,
    CAST(NULL AS text) AS traceparent, NULL AS ticket_status, NULL AS ticket_close_due_at,
    NULL AS ticket_closed_at"""
OF_OPERATORS = "(CAST(:operators AS text[]) IS NULL OR {} = ANY(CAST(:operators AS text[])))"

# An id does not belong to one operator: publishers number 1, 2, 3 on each ticket. Each operator's
# are read apart, newest first, in the order of `ticket_event_of_id`. `|| ''` keeps the planner from
# the other index with the id, in which those of all operators are mixed.
_HAS_ID: Final = "hashtext(event_id) = hashtext(:event_id) AND event_id || '' = :event_id"
_OF_ID: Final = f"""
    SELECT * FROM ticket_event WHERE operator = o.id AND {_HAS_ID}
     ORDER BY arrival DESC LIMIT {{}}"""  # noqa: S608 - constants of this module
# The newest of all operators are of those whose newest one is among the newest.
_NEWEST: Final = f"""
    (SELECT e.*
       FROM (SELECT o.id FROM operator o CROSS JOIN LATERAL ({_OF_ID.format(1)}) AS last
              WHERE {OF_OPERATORS.format("o.code")}
              ORDER BY last.arrival DESC LIMIT :limit) AS o
      CROSS JOIN LATERAL ({_OF_ID.format(":limit")}) AS e
      ORDER BY e.arrival DESC LIMIT :limit) AS e"""  # noqa: S608 - constants of this module
# Events without an operator were stored before it was, or by the release before. They are one lot
# for all operators, so at most SEARCHED_MAX are read before their tickets say whose they are.
_OLD_OF_ID: Final = f"""
    SELECT * FROM ticket_event WHERE operator IS NULL AND {_HAS_ID}
     ORDER BY operator DESC, arrival DESC"""  # noqa: S608 - constants of this module
_OLD: Final = f"({_OLD_OF_ID} LIMIT :searched) AS e"
OLD_BEYOND: Final = text(f"{_OLD_OF_ID} OFFSET :searched LIMIT 1")
# LATERAL with LIMIT makes the planner look each of them up by key.
_ITS_TICKET: Final = """
    CROSS JOIN LATERAL (SELECT * FROM ticket WHERE id = e.ticket LIMIT 1) AS t
    CROSS JOIN LATERAL (SELECT id, code FROM operator WHERE id = t.operator LIMIT 1) AS o"""
# With a ticket id: by the keys (operator, ticket_id) and (ticket, event_id).
_ON_TICKET: Final = """
    operator o
    CROSS JOIN LATERAL (
          SELECT * FROM ticket WHERE operator = o.id AND ticket_id = :ticket_id LIMIT 1) AS t
    CROSS JOIN LATERAL (
          SELECT * FROM ticket_event WHERE ticket = t.id AND event_id = :event_id LIMIT 1) AS e"""


def _find(columns: str, source: str) -> TextClause:
    return text(f"""
        SELECT {columns} FROM {source}
         WHERE {OF_OPERATORS.format("o.code")}
         ORDER BY e.arrival DESC LIMIT :limit""")  # noqa: S608 - constants of this module


FIND_EVENTS: Final = _find(EVENT_COLUMNS, _NEWEST + _ITS_TICKET)
FIND_OLD: Final = _find(EVENT_COLUMNS, _OLD + _ITS_TICKET)
FIND_ON_TICKET: Final = _find(EVENT_COLUMNS, _ON_TICKET)
FIND_TICKETS: Final = tuple(
    _find("e.ticket", source) for source in (_NEWEST + _ITS_TICKET, _OLD + _ITS_TICKET)
)
FIND_NAMED_TICKET: Final = (_find("e.ticket", _ON_TICKET),)

# Raw input has no such order: if more than SEARCHED_MAX rows have the id, any of them are searched.
_RAW_OF_ID: Final = "SELECT * FROM rejected_input WHERE event_id = :event_id"
_RAW_OF_ID_OF: Final = f"{_RAW_OF_ID} AND operator = ANY(CAST(:operators AS text[]))"


def _raw_of_id(source: str) -> tuple[TextClause, TextClause]:
    """Return the statements that find raw input by an event's id, and the rows beyond."""
    find = text(f"""
        SELECT {RAW_COLUMNS} FROM ({source} LIMIT :searched) AS r
         ORDER BY r.id DESC LIMIT :limit""")  # noqa: S608 - constants of this module
    return find, text(f"{source} OFFSET :searched LIMIT 1")


FIND_RAW, RAW_BEYOND = _raw_of_id(_RAW_OF_ID)
FIND_RAW_OF, RAW_OF_BEYOND = _raw_of_id(_RAW_OF_ID_OF)
_RAW_OF_TICKET: Final = "SELECT * FROM rejected_input WHERE ticket_id = ANY(:ticket_ids)"
# A statement of its own for some operators: only then is the index (ticket_id, operator) used.
_RAW_OF_TICKET_OF: Final = f"{_RAW_OF_TICKET} AND operator = ANY(CAST(:operators AS text[]))"


def _raw_on_ticket(source: str) -> tuple[TextClause, TextClause]:
    """Return the statements that find an event's raw input on a ticket, and the rows beyond."""
    find = text(f"""
        SELECT {RAW_COLUMNS} FROM ({source} LIMIT :searched) AS r
         WHERE r.event_id = :event_id ORDER BY r.id DESC LIMIT :limit""")  # noqa: S608 - constants of this module
    return find, text(f"{source} OFFSET :searched LIMIT 1")


FIND_RAW_ON_TICKET, RAW_ON_TICKET_BEYOND = _raw_on_ticket(_RAW_OF_TICKET)
FIND_RAW_ON_TICKET_OF, RAW_ON_TICKET_OF_BEYOND = _raw_on_ticket(_RAW_OF_TICKET_OF)

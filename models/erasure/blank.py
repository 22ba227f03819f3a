"""Blanks what identifies the player of tickets that have ended: all their rows, by their keys.

A ticket has ended when it is closed or cancelled, all its notices are finished and nothing is
parked on it: then no decision and no delivery needs what is blanked here.
"""

import json
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.erasure.names import ERASED, PlayerName
from models.events.kept_data import CURRENCY_PATTERN, KEPT_FIELDS, KEY_FIELDS
from models.outbox.contents import ATTEMPT_IS_FULL, EMPTY_ATTEMPT, EMPTY_NOTICE, OF_TICKETS

# Of a ticket `t`. One that nothing opened has `cancelled_at` as well.
HAS_ENDED: Final = """(t.closed_at IS NOT NULL OR t.cancelled_at IS NOT NULL)
       AND t.unfinished = 0 AND t.parked = 0"""

LOCK_ENDED: Final = text(f"""
    SELECT t.id FROM ticket t
     WHERE t.id = ANY(:tickets) AND {HAS_ENDED}
     ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED""")  # noqa: S608 - a constant
PRESENT: Final = text("SELECT id FROM ticket WHERE id = ANY(:tickets)")

# As `models.events.kept_data` keeps it; a test compares them.
_KEPT: Final = """(
           SELECT coalesce(jsonb_object_agg(f.key, f.value), '{{}}')
             FROM jsonb_each(CASE jsonb_typeof({0}) WHEN 'object' THEN {0} ELSE '{{}}' END) AS f
            WHERE (f.key = ANY(:key_fields) AND jsonb_typeof(f.value) = 'string')
               OR (f.key = ANY(:kept_fields) AND jsonb_typeof(f.value) IN ('number', 'boolean'))
               OR (f.key = 'currency' AND jsonb_typeof(f.value) = 'string'
                   AND f.value #>> '{{}}' ~ :currency))"""
# `cancelled_by` names the action, and perhaps the event; the partner's own text follows.
BLANK_TICKETS: Final = text(f"""
    UPDATE ticket t
       SET details = {_KEPT.format("t.details")},
           amounts = CASE WHEN t.amounts IS NOT NULL THEN {_KEPT.format("t.amounts")} END,
           cancelled_by = split_part(t.cancelled_by, ':', 1), erased_at = :now
     WHERE t.id = ANY(:tickets)""")  # noqa: S608 - constants of this module
BLANK_EVENTS: Final = text(f"""
    UPDATE ticket_event e SET data = {_KEPT.format("e.data")}, message = NULL
     WHERE e.ticket = ANY(:tickets)""")  # noqa: S608 - constants of this module
# A delivered notice without a body and a reason is one that was erased (rule 22).
BLANK_NOTICES: Final = text(f"""
    UPDATE notice n SET {EMPTY_NOTICE}, reason = NULL WHERE n.ticket = ANY(:tickets)""")  # noqa: S608 - constants
BLANK_ATTEMPTS: Final = text(f"""
    UPDATE delivery_attempt a SET {EMPTY_ATTEMPT}, problem = NULL
     WHERE {OF_TICKETS} AND ({ATTEMPT_IS_FULL} OR a.problem IS NOT NULL)""")  # noqa: S608 - constants
INTERVENTIONS: Final = text("""
    SELECT id, why, facts FROM intervention WHERE ticket = ANY(:tickets) ORDER BY id FOR UPDATE""")
UPDATE_INTERVENTIONS: Final = text("""
    UPDATE intervention i SET why = :erased, facts = r.facts
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, facts jsonb)
     WHERE i.id = r.id""")
INPUT_OF_TICKETS: Final = text("""
    SELECT r.id, r.raw, r.message
      FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN rejected_input r ON r.ticket_id = t.ticket_id AND r.operator = o.code
     WHERE t.id = ANY(:tickets) AND r.message <> :erased
     ORDER BY r.id""")
# It can no longer become an event, so it leaves the lists.
BLANK_INPUT: Final = text("""
    UPDATE rejected_input
       SET raw = '', whole = false, message = :erased, dropped_at = coalesce(dropped_at, :now)
     WHERE id = ANY(:ids)""")


def lock_ended(connection: Connection, tickets: Collection[int]) -> list[int]:
    """Lock and return those of *tickets* that have ended; one that is locked has its turn later."""
    return list(connection.execute(LOCK_ENDED, {"tickets": sorted(tickets)}).scalars())


def removed_among(connection: Connection, tickets: Collection[int]) -> set[int]:
    """Return those of *tickets* that retention has removed."""
    present = connection.execute(PRESENT, {"tickets": sorted(tickets)}).scalars()
    return set(tickets) - set(present)


def blank_tickets(
    connection: Connection, tickets: Collection[int], player: PlayerName, *, now: datetime
) -> Counter[str]:
    """Blank all that belongs to *tickets*, which are locked; return the number of rows by place."""
    if not tickets:
        return Counter()
    parameters = {
        "tickets": sorted(tickets),
        "now": now,
        "key_fields": list(KEY_FIELDS),
        "kept_fields": list(KEPT_FIELDS),
        "currency": CURRENCY_PATTERN,
    }
    # In the order of the locks: tickets, events, notices, attempts, then raw input (rule 19).
    counts = Counter(
        {
            place: connection.execute(statement, parameters).rowcount
            for place, statement in (
                ("tickets", BLANK_TICKETS),
                ("events", BLANK_EVENTS),
                ("notices", BLANK_NOTICES),
                ("attempts", BLANK_ATTEMPTS),
            )
        }
    )
    rows = connection.execute(INTERVENTIONS, {"tickets": sorted(tickets)}).all()
    counts["interventions"] = blank_interventions(connection, rows, player)
    inputs = connection.execute(
        INPUT_OF_TICKETS, {"tickets": sorted(tickets), "erased": ERASED}
    ).all()
    counts["inputs"] = blank_input(connection, [row.id for row in inputs], now=now)
    return +counts


def blank_input_of(
    connection: Connection, tickets: Collection[int], player: PlayerName, *, now: datetime
) -> Counter[str]:
    """Blank the rejected input about other players' *tickets* that names this player."""
    rows = connection.execute(INPUT_OF_TICKETS, {"tickets": sorted(tickets), "erased": ERASED})
    ids = [
        row.id for row in rows if player.is_in_raw(bytes(row.raw)) or player.is_in_text(row.message)
    ]
    return +Counter({"inputs": blank_input(connection, ids, now=now)})


def blank_input(connection: Connection, ids: Collection[int], *, now: datetime) -> int:
    """Blank rows of rejected input; return how many."""
    if not ids:
        return 0
    parameters = {"ids": sorted(ids), "now": now, "erased": ERASED}
    return connection.execute(BLANK_INPUT, parameters).rowcount


def blank_interventions(
    connection: Connection, rows: Collection[Row[Any]], player: PlayerName
) -> int:
    """Blank why people did something; who did what, and when, stays."""
    blanked = [{"id": row.id, "facts": player.removed_from(row.facts)} for row in rows]
    if blanked:
        parameters = {"rows": json.dumps(blanked), "erased": ERASED}
        connection.execute(UPDATE_INTERVENTIONS, parameters)
    return len(blanked)

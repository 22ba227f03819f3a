"""Which events were here before (rule 2): a repeat is counted, a reused id is refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.events.event import Event
from models.lifecycle.ticket import TicketState

# A statement of its own, after the one that locks: in the same one it would not see what another
# worker has just committed (rule 20, protocol E1).
KNOWN = text("""
    SELECT e.ticket, e.event_id, e.action, e.data, e.entry_id
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(ticket bigint, event_id text)
      JOIN ticket_event e ON e.ticket = key.ticket AND e.event_id = key.event_id""")

COUNT_REPEATS = text("""
    UPDATE ticket_event e
       SET repeats = e.repeats + r.times, repeated_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(ticket bigint, event_id text, times int)
     WHERE e.ticket = r.ticket AND e.event_id = r.event_id""")

Arrived = tuple[TicketState, Event]


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """What arrived, by what it is to the log. *redelivered*: our own, after a lost consumer."""

    fresh: list[Arrived] = field(default_factory=list)
    repeats: list[Arrived] = field(default_factory=list)
    redelivered: list[Arrived] = field(default_factory=list)
    reused: list[Arrived] = field(default_factory=list)


Known = dict[tuple[int, str], tuple[str, dict[str, Any], str | None]]


def sort_by_log(arrived: Sequence[Arrived], known: Known) -> Deduplicated:
    """Tell fresh events from those that are *known*, or come twice in *arrived* itself."""
    found = Deduplicated()
    known = known.copy()
    for ticket, event in arrived:
        key = (ticket.id, event.event_id)
        before = known.get(key)
        if before is None:
            known[key] = (event.action, event.data, event.entry_id)
            found.fresh.append((ticket, event))
        elif before[0] != event.action or not _same(before[1], event.data):
            found.reused.append((ticket, event))
        elif event.entry_id is not None and before[2] == event.entry_id:
            found.redelivered.append((ticket, event))
        else:
            found.repeats.append((ticket, event))
    return found


def _same(stored: object, given: object) -> bool:
    """Whether both are the same JSON, however jsonb writes it.

    It gives 1e23 back as a whole number, which no float equals; and to Python, true is 1.
    """
    match stored, given:
        case (bool(), _) | (_, bool()):
            return stored is given
        case int() | float(), int() | float():
            return _exact(stored) == _exact(given)
        case dict(), dict():
            return stored.keys() == given.keys() and all(
                _same(value, given[name]) for name, value in stored.items()
            )
        case list(), list():
            return len(stored) == len(given) and all(map(_same, stored, given))
        case _:
            return stored == given


def _exact(number: float) -> Decimal:
    return Decimal(number if isinstance(number, int) else repr(number))


def known_of(connection: Connection, arrived: Sequence[Arrived]) -> Known:
    """What the log holds of these events. Their tickets must be locked already."""
    keys = [{"ticket": ticket.id, "event_id": event.event_id} for ticket, event in arrived]
    rows = connection.execute(KNOWN, {"keys": to_json(keys).decode()}).all()
    return {(row.ticket, row.event_id): (row.action, row.data, row.entry_id) for row in rows}


def count_repeats(connection: Connection, repeats: Iterable[Arrived], *, now: datetime) -> None:
    """Note on each event how often it came again; its outcome stays untouched."""
    times: dict[tuple[int, str], int] = {}
    for ticket, event in repeats:
        key = (ticket.id, event.event_id)
        times[key] = times.get(key, 0) + 1
    if times:
        rows = [
            {"ticket": ticket, "event_id": event_id, "times": count}
            for (ticket, event_id), count in times.items()
        ]
        connection.execute(COUNT_REPEATS, {"rows": to_json(rows).decode(), "now": now})

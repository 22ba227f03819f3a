"""Finds events that arrived before (rule 2): a repeat is counted, a reused id is refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, Row, text

from models.events.event import Event
from models.events.kept_data import kept_data
from models.events.kept_once import whole_data
from models.lifecycle.ticket import TicketState
from models.tickets.row import array

# A statement of its own, after the one that locks: in the same one it would not see what another
# worker has just committed (rule 20, E1).
LOGGED = text("""
    SELECT e.ticket, e.event_id, e.action, e.data, e.entry_id, e.left_out,
           CASE e.left_out
           WHEN 'details' THEN (SELECT details FROM ticket WHERE id = e.ticket) END AS details
      FROM unnest(CAST(:tickets AS bigint[]), CAST(:event_ids AS text[]))
               AS key(ticket, event_id)
      JOIN ticket_event e ON e.ticket = key.ticket AND e.event_id = key.event_id""")

COUNT_REPEATS = text("""
    UPDATE ticket_event e
       SET repeats = e.repeats + r.times, repeated_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(ticket bigint, event_id text, times int)
     WHERE e.ticket = r.ticket AND e.event_id = r.event_id""")

Arrived = tuple[TicketState, Event]


class LoggedContent(NamedTuple):
    """What distinguishes a repeated event from a reused id."""

    action: str
    data: dict[str, Any]
    entry_id: str | None


Log = dict[tuple[int, str], LoggedContent]
"""Events of the log by ticket and event id."""


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Events that arrived, by what the log has of them."""

    fresh: list[Arrived] = field(default_factory=list)
    repeats: list[Arrived] = field(default_factory=list)
    redelivered: list[Arrived] = field(default_factory=list)  # the same entry: its consumer died
    reused: list[Arrived] = field(default_factory=list)


def deduplicate(arrived: Sequence[Arrived], log: Log) -> Deduplicated:
    """Sort *arrived* by what is in *log*, and by what comes twice in *arrived* itself."""
    events = Deduplicated()
    log = log.copy()
    for ticket, event in arrived:
        key = (ticket.id, event.event_id)
        logged = log.get(key)
        if logged is None:
            log[key] = LoggedContent(event.action, event.data, event.entry_id)
            events.fresh.append((ticket, event))
        elif not _is_same_content(ticket, logged, event):
            events.reused.append((ticket, event))
        elif event.entry_id is not None and logged.entry_id == event.entry_id:
            events.redelivered.append((ticket, event))
        else:
            events.repeats.append((ticket, event))
    return events


def _is_same_content(ticket: TicketState, logged: LoggedContent, event: Event) -> bool:
    """Return whether *event* states what the log has under its id (H13).

    Of an erased player the log has only what decides about money, so only that is compared.
    """
    if logged.action != event.action:
        return False
    if ticket.erased:
        return _is_same_json(kept_data(logged.data), kept_data(event.data))
    return _is_same_json(logged.data, event.data)


def _is_same_json(stored: object, given: object) -> bool:
    """Return whether both are the same JSON, however jsonb writes it.

    jsonb returns 1e23 as an integer, which no float equals; and to Python, true equals 1.
    """
    match stored, given:
        case (bool(), _) | (_, bool()):
            return stored is given
        case int() | float(), int() | float():
            return _exact(stored) == _exact(given)
        case dict(), dict():
            return stored.keys() == given.keys() and all(
                _is_same_json(value, given[name]) for name, value in stored.items()
            )
        case list(), list():
            return len(stored) == len(given) and all(map(_is_same_json, stored, given))
        case _:
            return stored == given


def _exact(number: float) -> Decimal:
    return Decimal(number if isinstance(number, int) else repr(number))


def logged_events(connection: Connection, arrived: Sequence[Arrived]) -> Log:
    """Return what the log has of these events; their tickets must be locked already."""
    keys = {
        "tickets": array(ticket.id for ticket, _ in arrived),
        "event_ids": array(event.event_id for _, event in arrived),
    }
    rows = connection.execute(LOGGED, keys).all()
    tickets = {ticket.id: ticket for ticket, _ in arrived} if rows else {}
    return {
        (row.ticket, row.event_id): LoggedContent(
            row.action, _data(row, tickets[row.ticket]), row.entry_id
        )
        for row in rows
    }


def _data(row: Row[Any], ticket: TicketState) -> Any:  # noqa: ANN401 - JSON, which may be damaged
    return whole_data(
        row.data,
        row.left_out,
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        details=row.details,
    )


def count_repeats(connection: Connection, repeats: Iterable[Arrived], *, now: datetime) -> None:
    """Count on each event how often it was repeated; its outcome stays as it is."""
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

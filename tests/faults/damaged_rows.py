"""Rows whose JSON columns hold what no code of ours writes, and notices whose text is none."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, text

from models.events.event import Entry
from models.intake.apply import apply_entries
from models.platform.clock import DatabaseClock
from tests.faults.poison import OPERATOR

WINDOW: Final = timedelta(minutes=15)
NOT_OBJECTS: Final = ("[]", '["ticket_win"]', '"ticket_win"', "7", "null", "true")
# As a parked event's data; any of these could only be decided by guessing.
NO_DATA: Final = (
    *NOT_OBJECTS,
    "{}",
    '{"operator": "acme"}',
    '{"operator": [1], "ticket_id": {}}',
    '{"operator": "acme", "ticket_id": "T", "net_payout": "500"}',
    '{"operator": "acme", "ticket_id": "T", "price": -1, "wht": [[[]]]}',
    '{"operator": "acme", "ticket_id": "T", "correction": "yes"}',
)
NO_FACTS: Final = (*NOT_OBJECTS, '{"price": "500", "currency": 978, "ticket_code": []}')
NO_CALLS: Final = (*NOT_OBJECTS, '{"a": 5}', '{"a": {"calls": "many", "until": "never"}}')
NO_BODIES: Final = ("rubbish", "{", "[]", "null", '{"action": 7}', "\x01\x7f", "y" * 300_000)

DAMAGE_PARKED: Final = text("""
    UPDATE ticket_event e SET data = CAST(:document AS jsonb), park_until = now()
      FROM ticket t WHERE t.id = e.ticket AND t.ticket_id = :ticket_id AND e.outcome = 'parked'""")
DAMAGE_TICKET: Final = text("""
    UPDATE ticket SET amounts = CAST(:document AS jsonb), details = CAST(:document AS jsonb)
     WHERE ticket_id = :ticket_id""")
DAMAGE_BODY: Final = text("""
    UPDATE notice n SET body = :document FROM ticket t
     WHERE t.id = n.ticket AND t.ticket_id = :ticket_id""")
DAMAGE_CIRCUIT: Final = text("""
    INSERT INTO circuit (operator, in_flight)
    SELECT id, CAST(:document AS jsonb) FROM operator WHERE code = :operator
        ON CONFLICT (operator) DO UPDATE SET in_flight = excluded.in_flight""")
DAMAGE_REMARKS: Final = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, remarks, recorded_at)
    SELECT n.id, 999, n.operator, 'again', 1, CAST(:document AS jsonb), now()
      FROM notice n JOIN ticket t ON t.id = n.ticket WHERE t.ticket_id = :ticket_id""")
DAMAGE_INTERVENTION: Final = text("""
    INSERT INTO intervention (who, why, did, ticket, facts)
    SELECT 'anna', 'as agreed', did, t.id, CAST(:document AS jsonb)
      FROM ticket t, unnest(ARRAY['event_retried', 'raw_event_dropped', 'notice_skipped']) AS did
     WHERE t.ticket_id = :ticket_id""")


@dataclass(frozen=True, slots=True)
class Damaged:
    """The tickets whose rows were damaged, by what was."""

    parked: tuple[str, ...]  # the one event that waits on each
    facts: tuple[str, ...]  # what is known of the ticket; attempts and interventions too
    bodies: tuple[str, ...]  # of the undelivered notice

    def __iter__(self) -> Iterator[str]:
        """All of them."""
        return iter((*self.parked, *self.facts, *self.bodies))


def damage(engine: Engine) -> Damaged:
    """Make tickets as they come to be, then damage them."""
    parked = _named("parked", NO_DATA)
    facts = _named("facts", NO_FACTS)
    bodies = _named("body", NO_BODIES)
    for ticket_id in (*parked, *facts, *bodies):
        _say(engine, "ticket_win", ticket_id)
    for ticket_id in parked:
        _say(engine, "ticket_lost", ticket_id)  # waits for a rollback
    with engine.begin() as connection:
        for ticket_id, document in parked.items():
            _hurt(connection, DAMAGE_PARKED, ticket_id, document)
        for ticket_id, document in facts.items():
            for what in (DAMAGE_TICKET, DAMAGE_REMARKS, DAMAGE_INTERVENTION):
                _hurt(connection, what, ticket_id, document)
        for ticket_id, document in bodies.items():
            _hurt(connection, DAMAGE_BODY, ticket_id, document)
    return Damaged(tuple(parked), tuple(facts), tuple(bodies))


def damage_circuit(engine: Engine, operator: str, document: str) -> None:
    """Leave a partner's counts of calls in flight damaged."""
    with engine.begin() as connection:
        connection.execute(DAMAGE_CIRCUIT, {"operator": operator, "document": document})


def _named(what: str, documents: tuple[str, ...]) -> dict[str, str]:
    return {f"damaged-{what}-{number}": document for number, document in enumerate(documents)}


def _hurt(connection: Connection, statement: object, ticket_id: str, document: str) -> None:
    done = connection.execute(statement, {"ticket_id": ticket_id, "document": document})  # type: ignore[call-overload] # one of the texts above
    assert done.rowcount, ticket_id


def _say(engine: Engine, action: str, ticket_id: str) -> None:
    """Apply an event as the intake does."""
    clock = DatabaseClock()
    with engine.begin() as connection:
        now = clock.now(connection)
    event = {"action": action, "data": {"operator": OPERATOR, "ticket_id": ticket_id}}
    entry = Entry(f"{int(now.timestamp() * 1000)}-0", {b"event": json.dumps(event).encode()})
    apply_entries(engine.begin, [entry], clock=clock, parking_window=WINDOW)

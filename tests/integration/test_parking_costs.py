"""A ticket with nothing parked pays nothing for parking."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, event, text

from tests.support.plans import touched_by

PARKED = 100_000
CROWD = text("""
    WITH tickets AS (
        INSERT INTO ticket (operator, ticket_id, status, parked)
        SELECT o.id, 'crowd-' || n, 'absent', 25
          FROM operator o, generate_series(1, :tickets) n RETURNING id)
    INSERT INTO ticket_event (ticket, event_id, action, data, order_time, received_at, outcome,
                              reason, status_before, status_after, decided_at, park_until)
    SELECT t.id, 'waits-' || n, 'ticket_rollback', '{}', now(), now(), 'parked',
           'waits_for_ticket', 'absent', 'absent', now(), now() + interval '1 year'
      FROM tickets t, generate_series(1, 25) n""")


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """The texts of the statements that run meanwhile."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def crowd(harness) -> Callable[[], None]:
    """Makes 100,000 events wait on other tickets."""

    def make() -> None:
        with harness.engine.begin() as connection:
            # On a busy machine it takes longer than any statement of ours may.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(CROWD, {"tickets": PARKED // 25})
            connection.execute(text("ANALYZE ticket, ticket_event"))

    return make


def test_an_event_that_fits_costs_no_extra_query_because_parking_exists(harness):
    """Rule 20: parked events are asked for only where the ticket says that it has some."""
    harness.say("ticket_open", "fits")
    with statements_of(harness.engine) as fitting:
        harness.say("ticket_win", "fits")
    with statements_of(harness.engine) as parking:
        harness.say("ticket_lost", "fits")  # parked: it waits for a rollback
    with statements_of(harness.engine) as with_parked:
        harness.say("ticket_rollback", "fits")

    queries = [statement for statement in with_parked if "outcome = 'parked'" in statement]
    assert len(queries) == 1
    assert not [statement for statement in fitting + parking if "outcome = 'parked'" in statement]


def test_a_hundred_thousand_parked_events_do_not_slow_other_tickets_down(harness, crowd):
    """An event that fits reads the same rows however many events wait elsewhere."""

    def read(ticket_id: str) -> tuple[int, int]:
        def settle(connection: Connection) -> Callable[[], object]:
            return lambda: harness.apply_within(connection, harness.event("ticket_win", ticket_id))

        with harness.engine.connect() as connection:
            touched = touched_by(connection, settle(connection))
            connection.rollback()
        return (
            touched.by_index.get("ticket_event", 0) + touched.one_by_one.get("ticket_event", 0),
            touched.by_index.get("ticket", 0) + touched.one_by_one.get("ticket", 0),
        )

    harness.say("ticket_open", "alone")
    harness.say("ticket_open", "beside")
    before = read("alone")
    crowd()

    assert read("beside") == before

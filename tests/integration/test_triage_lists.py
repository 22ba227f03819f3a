"""Listing what needs a person: newest first, narrowed, and over their indexes."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.triage import Selection, find_events, list_dead, list_events, list_raw
from models.vocabulary import Outcome
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of
from tests.support.triage_actions import TriageActions

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
CROWD = text("""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id)
        SELECT o.id, 'C' || n FROM operator o, generate_series(1, 3000) AS n
     RETURNING id, operator),
    told AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                            ended_at, created_at)
        SELECT id, operator, 1, 'ticket_win', 1, '', false, now(), 'delivered', now(), now()
          FROM made)
    INSERT INTO ticket_event (ticket, event_id, action, data, order_time, received_at, outcome,
                              status_before, status_after, decided_at, park_until)
    SELECT id, 'c' || id, 'ticket_win', '{}', now(), now(), outcome, 'open', 'open',
           now() + id * interval '1 s', CASE outcome WHEN 'parked' THEN now() END
      FROM made, LATERAL (
           SELECT (ARRAY['parked', 'rejected', 'superseded'])[1 + id % 3] AS outcome) AS ended""")
RAW_CROWD = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at)
    SELECT n || '-0', '', true, 'not_json', '', now() FROM generate_series(1, 3000) AS n""")
ANALYZE = text("ANALYZE")


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


def test_lists_are_newest_first_and_narrowed_by_everything_given(harness, triage):
    harness.say("ticket_win", "A", event_id="a1")
    harness.say("ticket_win", "A", event_id="a2", at=harness.now - HOUR)
    harness.wait(HOUR)
    harness.say("ticket_lost", "A", event_id="a3", at=harness.now - 3 * HOUR)
    harness.say("ticket_rollback", "B", event_id="b1")
    harness.add_operator("betsy")
    harness.say("ticket_rollback", "B", event_id="b2", operator="betsy")

    def ids(outcome: Outcome, limit: int = 10, **which: object) -> list[str]:
        listed = triage.listed(outcome, Selection(**which), limit=limit)  # type: ignore[arg-type]  # as a test gives it
        return [event.id for event in listed]

    older = triage.listed(Outcome.SUPERSEDED)
    assert [(event.id, event.is_harmless) for event in older] == [("a3", False), ("a2", True)]
    assert ids(Outcome.PARKED) == ["b2", "b1"]
    assert ids(Outcome.PARKED, limit=1) == ["b2"]
    assert ids(Outcome.PARKED, operator="acme") == ["b1"]
    assert ids(Outcome.SUPERSEDED, reason="older_differs") == ["a3"]
    assert ids(Outcome.SUPERSEDED, since=harness.now - SECOND) == ["a3"]
    assert ids(Outcome.SUPERSEDED, ticket_id="B") == []


def test_an_id_is_found_on_every_ticket_that_used_it(harness, engine):
    """H12: it counts per ticket."""
    harness.add_operator("betsy")
    for operator in ("acme", "betsy"):
        harness.say("ticket_win", operator=operator, event_id="7")

    with engine.begin() as connection:
        both = find_events(connection, "7")
        (of_acme,) = find_events(connection, "7", operator="acme", ticket_id="T")
    assert [event.operator for event in both] == ["betsy", "acme"]
    assert [(notice.number, notice.action) for notice in of_acme.notices] == [(1, "ticket_win")]
    assert (of_acme.outcome, of_acme.status, of_acme.data["ticket_id"]) == (
        "applied",
        "resulted/won",
        "T",
    )


def test_rejected_events_and_raw_input_are_one_list(harness, triage):
    harness.publish(harness.raw(b"{"))
    harness.wait(2 * HOUR)
    harness.say("ticket_open")
    after = harness.now
    harness.say("ticket_win", operator="nobody", event_id="e-2")
    harness.wait(SECOND)
    harness.say("ticket_paid", event_id="e-3")

    def listed(**which: object) -> list[str | None]:
        selection = Selection(**which)  # type: ignore[arg-type]  # as a test gives it
        return [event.reason for event in triage.listed(Outcome.REJECTED, selection)]

    assert listed() == ["not_reserved", "unknown_operator", "not_json"]
    assert listed(since=after) == ["not_reserved", "unknown_operator"]
    assert listed(operator="nobody") == listed(reason="unknown_operator") == ["unknown_operator"]
    paid, unknown, unreadable = triage.listed(Outcome.REJECTED)
    assert (paid.id, paid.is_raw, paid.status) == ("e-3", False, "open")
    assert (unknown.id, unknown.event_id) == (unknown.entry_id, "e-2")
    assert (unreadable.is_raw, unreadable.ticket_id) == (True, None)
    assert len(triage.listed(Outcome.REJECTED, limit=1)) == 1


NEWEST = partial(list_events, selection=Selection(), limit=100)


@pytest.mark.parametrize(
    ("read", "index"),
    [
        (partial(NEWEST, outcome=Outcome.REJECTED), "ticket_event_listed"),
        (partial(NEWEST, outcome=Outcome.SUPERSEDED), "ticket_event_listed"),
        (partial(NEWEST, outcome=Outcome.PARKED), "ticket_event_listed"),
        (partial(list_raw, selection=Selection(), limit=100), "rejected_input_listed"),
        (partial(list_dead, selection=Selection(), limit=100), "notice_dead"),
        (partial(find_events, event_id="c77"), "ticket_event_of_id"),
    ],
)
def test_what_needs_a_person_is_found_over_its_index(crowd, read, index):
    """The newest of them without reading, or sorting, the others."""
    with crowd.connect() as connection:
        plans = plans_of(connection, lambda: read(connection))

    assert index in plans.indexes
    assert "ticket_event" not in plans.whole_tables


@pytest.fixture(scope="module")
def crowd(servers, template) -> Iterator[Engine]:
    """A database with thousands of tickets, most of which need a person."""
    address = databases.create(servers.database_url, "triage_lists", template=template)
    engine = open_engine(address, application_name="tests")
    Harness(engine, ManualClock()).add_operator()
    with engine.begin() as connection:
        connection.execute(CROWD)
        connection.execute(RAW_CROWD)
        connection.execute(ANALYZE)
    yield engine
    engine.dispose()
    databases.drop(servers.database_url, "triage_lists")

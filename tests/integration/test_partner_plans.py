"""What the partners' pages read, however much there is, and what makes them live."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from models.monitoring.partners import (
    COUNTED_MAX,
    list_partners,
    partner_now,
    partners_pulse,
)
from models.operators.listing import latest_change, show_operator
from models.operators.pings import PINGED
from models.operators.secret_status import secret_status
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import gather
from tests.support.plans import plans_of

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BIG = {"notice", "ticket", "delivery_attempt", "intervention", "partner_minute", "ticket_event"}
# Much was done to the operator's tickets, and to other operators; what is its own is the oldest.
INTERVENTIONS = text("""
    INSERT INTO intervention (who, why, did, operator, ticket, facts)
    SELECT 'vera', 'a reason', did, operator, CASE operator WHEN 'acme' THEN n END, '{}'
      FROM generate_series(1, 20000) AS n,
           (VALUES ('notices_sent_again', 'acme'), ('operator_changed', 'betsy'))
           AS done(did, operator)""")
OPENED = """
    INSERT INTO circuit (operator, opened_at, reason, probe_at) VALUES (1, now(), 'x', now())
        ON CONFLICT (operator) DO UPDATE SET opened_at = now(), probe_at = now()"""
OWN = text("""
    INSERT INTO intervention (who, why, did, operator, facts)
    VALUES ('anna', 'a reason', 'partner_pinged', 'acme', '{}')""")
DEAD = text("""
    UPDATE notice SET ended = 'dead', ended_at = :now WHERE operator = 1 AND number = 1
       AND id % 2 = 0""")
MINUTES = text("""
    INSERT INTO partner_minute (operator, minute, delivered, failed)
    SELECT o, CAST(:now AS timestamptz) - n * interval '1 minute', 3, 1
      FROM generate_series(1, 2) AS o, generate_series(1, 2880) AS n""")
PROGRESS = text("""
    INSERT INTO plot_progress (id, minutes_since, minutes_until)
    VALUES (1, CAST(:now AS timestamptz) - interval '2 days', :now)""")


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> Engine:
    """A database with many tickets, notices and interventions."""
    harness = Harness(shared_engine, ManualClock(NOON))
    for code in ("acme", "betsy"):
        harness.add_operator(code)
    with shared_engine.begin() as connection:
        gather(connection, now=NOON)
        for statement in (OWN, INTERVENTIONS, DEAD, MINUTES, PROGRESS):
            connection.execute(statement, {"now": NOON} if ":now" in str(statement) else {})
        connection.execute(text("ANALYZE"))
    return shared_engine


@pytest.fixture
def connection(crowd: Engine) -> Iterator[Connection]:
    """A transaction that is undone, in a session of its own."""
    with crowd.connect() as opened:
        yield opened
        opened.rollback()
    crowd.dispose()


def test_the_list_counts_no_further_than_it_shows(connection: Connection):
    plans = plans_of(connection, lambda: list_partners(connection, now=NOON))
    acme, betsy = list_partners(connection, now=NOON).partners

    assert (acme.waiting, acme.dead) == (COUNTED_MAX + 1, COUNTED_MAX + 1)
    assert (betsy.waiting, betsy.dead) == (200, 0)
    assert (acme.delivered_per_minute, acme.failure_rate) == (3.0, 0.25)
    assert {"notice_due", "notice_dead", "partner_minute_pkey"} <= plans.indexes
    assert not BIG & plans.whole_tables
    assert plans.rows["notice"] < 10 * COUNTED_MAX


def test_what_was_done_to_an_operator_is_found_among_what_was_done_to_its_tickets(
    connection: Connection,
):
    def read() -> None:
        show_operator(connection, "acme")
        latest_change(connection, "acme", PINGED)
        secret_status(connection, "acme", now=NOON)
        partners_pulse(connection, "acme")

    plans = plans_of(connection, read)

    assert latest_change(connection, "acme", PINGED) is not None
    assert "intervention_operator_itself" in plans.indexes
    assert plans.rows.get("intervention", 0) < 100
    assert "intervention" not in plans.whole_tables


def test_the_pulse_differs_when_a_page_does(connection: Connection):
    pulses = [(partners_pulse(connection), partners_pulse(connection, "acme"))]
    for statement in (
        "UPDATE operator SET disabled_at = now() WHERE code = 'acme'",
        OPENED,
        "UPDATE plot_progress SET minutes_until = minutes_until + interval '1 minute'",
    ):
        connection.execute(text(statement))
        pulses.append((partners_pulse(connection), partners_pulse(connection, "acme")))

    assert len({of_list for of_list, _ in pulses}) == len(pulses)
    assert len({of_one for _, of_one in pulses}) == len(pulses)
    assert partner_now(connection, "acme", now=NOON + timedelta(hours=1)).failure_rate is None

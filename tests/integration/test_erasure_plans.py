"""A batch of an erasure reads what it handles, however many tickets and events there are."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from models.erasure.advance import advance_erasure
from models.erasure.blank import blank_tickets
from models.erasure.names import PlayerName
from models.erasure.walks import WALKS, Search
from tests.support import databases
from tests.support.erasing import begin
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of, touched_by
from worker.local.servers import Servers

BIG = {"ticket", "ticket_event", "notice", "delivery_attempt", "rejected_input", "intervention"}
PLAYER = "P7"
BATCH = 20
MANY = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, closed_at, details)
    SELECT 1 + n % 2, 'T' || n, 'closed', 'won', now(),
           jsonb_build_object('player_id', 'P' || n / 20)
      FROM generate_series(1, 6000) AS n""")
MANY_EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at, data)
    SELECT id, 'e' || id || k, 'ticket_win', now(), now(), 'applied', 'open', 'open', now(),
           details
      FROM ticket, generate_series(1, 2) AS k""")
MANY_NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                        ended_at, created_at)
    SELECT id, operator, k, 'ticket_win', k, '{}', false, now(), 'delivered', now(), now()
      FROM ticket, generate_series(1, 2) AS k""")
MANY_ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, answer, recorded_at)
    SELECT id, 1, operator, 'delivered', 1, 'taken', now() FROM notice""")
MANY_RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, ticket_id, operator,
                                received_at)
    SELECT n || '-0', 'P7', true, 'not_json', '', 'T' || n, 'acme', now()
      FROM generate_series(1, 6000) AS n""")
MANY_INTERVENTIONS = text("""
    INSERT INTO intervention (who, why, did, ticket, facts)
    SELECT 'anna', 'P7', 'looked_at', id, '{}' FROM ticket""")
OF_THE_PLAYER = text("""
    SELECT id FROM ticket WHERE operator = 1 AND details ->> 'player_id' = :player""")


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> str:
    """The name of a database with many tickets, which is as it was filled."""
    harness = Harness(shared_engine, ManualClock())
    harness.add_operator("acme")
    harness.add_operator("beta")
    with shared_engine.begin() as connection:
        for statement in (
            UNCHECKED,
            MANY,
            MANY_EVENTS,
            MANY_NOTICES,
            MANY_ATTEMPTS,
            MANY_RAW,
            MANY_INTERVENTIONS,
            text("ANALYZE"),
        ):
            connection.execute(statement)
    return databases.template_of(shared_engine)


@pytest.fixture
def database(servers: Servers, crowd: str, database_names: Iterator[str]) -> Iterator[str]:
    """A copy of it, for each test."""
    with databases.copied(servers.database_url, next(database_names), template=crowd) as copy:
        yield copy


@pytest.fixture
def harness(engine: Engine) -> Harness:
    return Harness(engine, ManualClock())


@pytest.fixture
def crowded(harness: Harness) -> Iterator[Connection]:
    with harness.engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize(
    ("walk", "index", "table"),
    [
        ("tickets", "ticket_of_player", "ticket"),
        ("events", "ticket_event_pkey", "ticket_event"),
        ("inputs", "rejected_input_pkey", "rejected_input"),
        ("interventions", "intervention_pkey", "intervention"),
    ],
)
def test_a_part_of_a_walk_reads_its_rows_by_the_key(harness, crowded, walk, index, table):
    search = Search(1, 1, "acme", PlayerName(PLAYER), harness.now)

    plans = plans_of(crowded, lambda: WALKS[walk](crowded, search, {}, BATCH))

    assert index in plans.indexes
    assert not BIG & plans.whole_tables
    assert plans.rows[table] <= 2 * BATCH


def test_blanking_tickets_takes_their_keys(harness, crowded):
    tickets = list(crowded.execute(OF_THE_PLAYER, {"player": PLAYER}).scalars())

    plans = plans_of(
        crowded, lambda: blank_tickets(crowded, tickets, PlayerName(PLAYER), now=harness.now)
    )

    assert len(tickets) == 10
    assert not BIG & plans.whole_tables
    assert {
        "ticket_pkey",
        "ticket_event_pkey",
        "delivery_attempt_pkey",
        "rejected_input_ticket",
        "intervention_ticket",
    } <= plans.indexes


def test_no_batch_reads_a_whole_table(harness, crowded):
    erasure = begin(harness, PLAYER, operator="acme")

    for _ in range(6):
        read = touched_by(
            crowded, lambda: advance_erasure(crowded, erasure, now=harness.now, limit=BATCH)
        )
        assert {name: read.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
        assert max(read.by_index[name] for name in BIG) <= 10 * BATCH

"""The gateway's queries cost what they show, however many tickets and events there are."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, text

from models.bet_engine import Caller, find_ticket, list_tickets
from models.database.engine import open_engine
from models.history import load_histories
from models.history.event_log import (
    FOUND_MAX,
    EventLogPage,
    EventsById,
    LogLine,
    find_events_by_id,
    list_not_applied,
)
from models.triage import find_events
from models.vocabulary import Outcome
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import Plans, plans_of
from worker.local.servers import Servers

SHOWN = 10
DEEPER = 6  # pages, if each index that a look-up descends has a level more
MANY = text("""
    INSERT INTO ticket (operator, ticket_id, status, details)
    SELECT 1 + n % 2, 'T' || n, 'open',
           jsonb_build_object('ticket_code', 'C' || n, 'player_id', 'P' || n % 100,
                              'ticket_type', 'quickbet')
      FROM generate_series(1, 4000) AS n""")
MANY_EVENTS = text("""
    INSERT INTO ticket_event (ticket, operator, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT id, operator, 'e' || id, 'ticket_win', now(), now(),
           CASE WHEN id % 10 = 0 THEN 'rejected' ELSE 'applied' END, 'open', 'open',
           now() + id * interval '1 ms'
      FROM ticket""")
SAME_ID = text("""
    INSERT INTO ticket_event (ticket, operator, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT id, operator, 'same', 'ticket_win', now(), now(), 'applied', 'open', 'open', now()
      FROM ticket""")
# As the release before writes them.
OLD_EVENTS = text("UPDATE ticket_event SET operator = NULL WHERE event_id = 'same'")
MINE = text("UPDATE ticket_event SET event_id = '1' WHERE operator = 1 AND ticket <= :last")
OTHERS_TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status)
    SELECT 2, 'their' || n, 'open' FROM generate_series(1, 20000) AS n""")
OTHERS_EVENTS = text("""
    INSERT INTO ticket_event (ticket, operator, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT id, 2, '1', 'ticket_win', now(), now(), 'rejected', 'open', 'open', now()
      FROM ticket WHERE ticket_id LIKE 'their%'""")
OTHERS_RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, event_id, ticket_id,
                                operator, received_at, rejected_at)
    SELECT n || '-9', '', true, 'not_json', '', '1', 'their' || n, 'beta', now(), now()
      FROM generate_series(1, 20000) AS n""")
MANY_RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, event_id, received_at,
                                rejected_at)
    SELECT n || '-0', '', true, 'not_json', '', 'r' || n, now(), now() + n * interval '1 ms'
      FROM generate_series(1, 2000) AS n""")
SAME_RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, event_id, ticket_id,
                                operator, received_at, rejected_at)
    SELECT n || '-1', '', true, 'not_json', '', 'same', 'T' || n,
           CASE WHEN n = 2000 THEN 'acme' ELSE 'beta' END, now(), now()
      FROM generate_series(1, 2000) AS n""")
NOT_HOT = text("""
    SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'ticket'""")


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> str:
    """The name of a database with many tickets, which is as it was filled."""
    harness = Harness(shared_engine, ManualClock())
    for code in ("acme", "beta"):
        harness.add_operator(code)
    with shared_engine.begin() as connection:
        for statement in (UNCHECKED, MANY, MANY_EVENTS, MANY_RAW, text("ANALYZE")):
            connection.execute(statement)
    return databases.template_of(shared_engine)


@pytest.fixture
def crowded(servers: Servers, crowd: str, database_names: Iterator[str]) -> Iterator[Connection]:
    """A connection to a copy of it, for each test."""
    name = next(database_names)
    url = databases.create(servers.database_url, name, template=crowd)
    engine = open_engine(url, application_name="tests", pool_size=1)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    databases.drop(servers.database_url, name)


@pytest.fixture
def caller() -> Caller:
    return Caller(operator=1, code="acme", protocol="pam", zone=ZoneInfo("UTC"))


def rows(plans: Plans, table: str) -> float:
    assert plans.whole_tables == set()
    return plans.rows.get(table, 0)


def test_a_ticket_is_found_by_id_or_code_at_once(crowded, caller):
    plans = plans_of(crowded, lambda: find_ticket(crowded, caller, "C100"))

    assert {"ticket_operator_ticket_id_key", "ticket_code"} <= plans.indexes
    assert rows(plans, "ticket") <= 3


def test_a_list_reads_what_it_shows(crowded, caller):
    everything = plans_of(crowded, lambda: list_tickets(crowded, caller, limit=SHOWN))
    of_one = plans_of(
        crowded, lambda: list_tickets(crowded, caller, limit=SHOWN, user_id="P2", skip_types=["x"])
    )

    assert everything.indexes == {"ticket_newest", "ticket_event_pkey"}
    assert of_one.indexes == {"ticket_of_player", "ticket_event_pkey"}
    assert rows(everything, "ticket") == rows(of_one, "ticket") == SHOWN
    assert max(rows(everything, "ticket_event"), rows(of_one, "ticket_event")) <= SHOWN


def test_a_page_of_what_did_not_go_through_reads_what_it_shows(crowded):
    def page() -> object:
        first = list_not_applied(crowded, [Outcome.REJECTED], operators=None, limit=SHOWN)
        return list_not_applied(
            crowded, [Outcome.REJECTED], operators=None, limit=SHOWN, after=first.next
        )

    plans = plans_of(crowded, page)

    assert {"ticket_event_listed", "rejected_input_listed"} <= plans.indexes
    assert rows(plans, "ticket_event") <= 3 * SHOWN  # two pages, and some that are read ahead
    assert rows(plans, "rejected_input") <= 3 * SHOWN


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_an_operator_among_others_are_bounded_and_leave_nothing_out(crowded, limit):
    crowded.execute(text("UPDATE ticket SET operator = 2 WHERE id % 100 <> 0"))
    crowded.execute(text("UPDATE ticket SET operator = 1 WHERE id % 100 = 0"))
    crowded.execute(text("UPDATE rejected_input SET operator = 'acme' WHERE id % 100 = 0"))
    crowded.execute(text("ANALYZE"))
    outcomes = [Outcome.REJECTED, Outcome.PARKED]
    every = list_not_applied(crowded, outcomes, operators=None, limit=5000)
    wanted = [line for line in every.lines if line.operator == "acme"]
    searched, listed, after, pages = 50, list[LogLine](), None, 0

    def page() -> EventLogPage:
        return list_not_applied(
            crowded, outcomes, operators=["acme"], limit=limit, after=after, searched=searched
        )

    plans = plans_of(crowded, page)
    while pages == 0 or after is not None:
        shown = page()
        assert len(shown.lines) <= limit
        listed, after, pages = [*listed, *shown.lines], shown.next, pages + 1

    assert len(wanted) == 60
    assert listed == wanted
    assert pages > len(wanted) / limit
    assert {"ticket_event_listed", "rejected_input_listed"} <= plans.indexes
    assert rows(plans, "ticket_event") <= 3 * searched
    assert rows(plans, "rejected_input") <= 3 * searched
    assert rows(plans, "ticket") <= 2 * searched  # PostgreSQL rounds the rows of each look-up


def test_an_event_is_found_by_its_id(crowded):
    plans = plans_of(crowded, lambda: find_events_by_id(crowded, "e7", operators=["acme"]))

    assert {"ticket_event_of_id", "rejected_input_of_id"} <= plans.indexes
    assert rows(plans, "ticket_event") <= 2  # the newest one, then all
    assert rows(plans, "rejected_input") <= 1


def test_a_ticket_s_history_is_read_by_its_keys_although_others_have_its_id(crowded):
    crowded.execute(SAME_RAW)
    crowded.execute(text("UPDATE rejected_input SET ticket_id = 'T2000' WHERE operator = 'beta'"))
    crowded.execute(text("ANALYZE"))

    plans = plans_of(crowded, lambda: load_histories(crowded, "T2000", operator="acme"))

    assert {"ticket_operator_ticket_id_key", "rejected_input_ticket"} <= plans.indexes
    plans.whole_tables &= {"ticket", "ticket_event", "rejected_input"}  # the others are empty
    assert rows(plans, "ticket") <= 1
    assert rows(plans, "ticket_event") <= 2  # its only one: for its time, then to be shown
    assert rows(plans, "rejected_input") <= 1


def test_once_a_ticket_is_open_what_happens_to_it_touches_none_of_these_indexes(engine):
    """HOT updates: an index whose columns or condition change with a ticket costs them all."""
    harness = Harness(engine, ManualClock())
    harness.add_operator()
    harness.say("ticket_open", ticket_code="C", player_id="P")

    with engine.begin() as connection:
        before = connection.execute(NOT_HOT).scalar_one()
        for action in ("ticket_win", "ticket_rollback", "ticket_lost"):
            harness.apply_within(connection, harness.event(action))
        assert connection.execute(NOT_HOT).scalar_one() == before


@pytest.mark.parametrize("operators", [None, ["acme"]])
def test_an_id_that_all_tickets_have_is_read_on_the_newest_alone(crowded, operators):
    """As a draw's settlements have it; every other ticket is another operator's."""
    crowded.execute(SAME_ID)
    crowded.execute(text("ANALYZE"))

    plans = plans_of(crowded, lambda: find_events_by_id(crowded, "same", operators=operators))

    operators_read = 2 if operators is None else 1
    assert {"ticket_event_of_id", "ticket_pkey"} <= plans.indexes
    assert rows(plans, "ticket_event") <= operators_read * (FOUND_MAX + 2)
    assert rows(plans, "ticket") <= FOUND_MAX + 1


@pytest.mark.parametrize("analyzed", [True, False])
@pytest.mark.parametrize("mine", [0, 1, 100])
def test_an_id_costs_the_same_however_often_others_use_it(crowded, mine, analyzed):
    """As publishers have it that number 1, 2, 3 on each ticket. Counted in pages, not in time."""
    crowded.execute(MINE, {"last": 2 * mine})

    def look_up() -> object:
        return (
            find_events_by_id(crowded, "1", operators=["acme"]),
            find_events(crowded, "1", operator="acme"),
        )

    alone, pages_alone = look_up(), plans_of(crowded, look_up).pages
    for statement in (UNCHECKED, OTHERS_TICKETS, OTHERS_EVENTS, OTHERS_RAW):
        crowded.execute(statement)
    if analyzed:
        crowded.execute(text("ANALYZE"))
    plans = plans_of(crowded, look_up)

    assert look_up() == alone
    assert plans.pages <= pages_alone + DEEPER


@pytest.mark.parametrize("event_id", [None, "missing"])
def test_old_events_of_an_id_that_others_have_are_searched_up_to_a_bound(crowded, event_id):
    """They name no operator."""
    crowded.execute(SAME_ID)
    crowded.execute(SAME_RAW)
    crowded.execute(OLD_EVENTS)
    crowded.execute(text("UPDATE ticket SET operator = 2 WHERE id > 10"))
    crowded.execute(text("ANALYZE"))

    def find() -> EventsById:
        return find_events_by_id(crowded, event_id or "same", operators=["acme"], searched=300)

    plans = plans_of(crowded, find)

    # Raw input names its operator, so the newest of those searched is this operator's only one.
    its_input = ["T2000"] if event_id is None else []
    assert [line.ticket_id for line in find().lines] == its_input
    assert find().more is (event_id is None)
    assert rows(plans, "ticket") <= 300
    assert rows(plans, "ticket_event") <= 300 + 301  # searched, and whether there is more
    assert rows(plans, "rejected_input") <= 300 + 301


@pytest.mark.parametrize("operators", [None, ["acme"]])
def test_an_event_on_a_named_ticket_is_found_by_the_keys_alone(crowded, operators):
    crowded.execute(SAME_ID)
    crowded.execute(SAME_RAW)
    crowded.execute(text("ANALYZE"))

    def find() -> EventsById:
        return find_events_by_id(
            crowded, "same", operators=operators, ticket_id="T2000", searched=300
        )

    plans = plans_of(crowded, find)

    assert [(line.operator, line.ticket_id) for line in find().lines] == [("acme", "T2000")] * 2
    assert not find().more
    assert {"ticket_operator_ticket_id_key", "rejected_input_ticket"} <= plans.indexes
    plans.whole_tables.discard("operator")  # each is tried, where the key is bound to none
    assert rows(plans, "ticket") <= 1
    assert rows(plans, "ticket_event") <= 1
    assert rows(plans, "rejected_input") <= 2

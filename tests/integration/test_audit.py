"""What people did is found by any filter, page by page, at the same cost however much there is."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from models.audit import ActFilter, ActPage, RecordedAct, list_acts
from models.audit.listing import EXAMINED_MAX
from models.database.engine import open_engine
from models.operators.interventions import Change, Person, record_intervention
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of

IMPORTED = 100_000
ROWS_MAX = 2 * EXAMINED_MAX + 5_000  # a page: the stretch, and two bounded counts
FILLING_MAX = timedelta(minutes=2)
BULK = text(f"""
    INSERT INTO intervention (at, who, why, did, operator, ticket, facts)
    SELECT CAST(:now AS timestamptz) - interval '1 day' + n * interval '1 ms', 'bulk', 'moved',
           CASE WHEN n % 2 = 0 THEN 'ticket_imported' ELSE 'notice_retried' END, 'acme', 1000 + n,
           '{{}}'
      FROM generate_series(1, {IMPORTED}) AS n""")  # noqa: S608 - a number
BUSY = text("""
    INSERT INTO intervention (at, who, why, did, operator)
    SELECT CAST(:now AS timestamptz) - n * interval '1 ms', 'dora', '', 'user_added', 'acme'
      FROM generate_series(1, 20000) AS n""")
ANNA, BOB = Person("anna", "as agreed"), Person("bob", "asked by acme")
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def crowd(servers, template) -> Iterator[Harness]:
    """A few acts a week ago, then an import."""
    url = databases.create(servers.database_url, "audit_crowd", template=template)
    harness = Harness(
        open_engine(url, application_name="tests", pool_size=1, statement_timeout=FILLING_MAX),
        ManualClock(),
    )
    harness.add_operator()
    harness.say("ticket_win", "T/1")
    with harness.engine.begin() as connection:
        ticket = connection.execute(text("SELECT id FROM ticket")).scalar_one()
        at = harness.now - WEEK
        changes = [
            (Change("operator_changed", operator="acme"), ANNA),
            (Change("ticket_held", operator="acme", ticket=ticket), BOB),
            (Change("user_added", facts={"user": "carla"}), ANNA),
            (Change("operator_changed", operator="beta"), BOB),
        ]
        for change, person in changes:
            record_intervention(connection, change, person=person, at=at)
        connection.execute(BULK, {"now": harness.now})
    yield harness
    harness.engine.dispose()
    databases.drop(servers.database_url, "audit_crowd")


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
def state(request, crowd: Harness) -> Harness:
    if request.param == "analysed":
        with crowd.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return crowd


@pytest.fixture
def connection(state: Harness) -> Iterator[Connection]:
    with state.engine.connect() as opened:
        yield opened
        opened.rollback()


def done(page: ActPage) -> list[tuple[str, str]]:
    return [(act.who, act.did) for act in page.acts]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (ActFilter(who="anna"), [("anna", "user_added"), ("anna", "operator_changed")]),
        (ActFilter(did="ticket_held"), [("bob", "ticket_held")]),
        (ActFilter(operator="beta"), [("bob", "operator_changed")]),
        (ActFilter(ticket_id="T/1"), [("bob", "ticket_held")]),
        (ActFilter(ticket_id="T/1", who="anna"), []),
        (ActFilter(operator="acme", who="bob"), [("bob", "ticket_held")]),
        (ActFilter(operator="acme", did="operator_changed"), [("anna", "operator_changed")]),
        (ActFilter(operator="acme", who="bulk", did="user_added"), []),
        (ActFilter(who="nobody"), []),
    ],
    ids=str,
)
def test_each_filter_costs_its_page(connection: Connection, chosen: ActFilter, expected):
    page = list_acts(connection, chosen, limit=50)

    assert (done(page), page.next) == (expected, None)
    plans = plans_of(connection, lambda: list_acts(connection, chosen, limit=50))
    assert "intervention" not in plans.whole_tables
    assert plans.rows.get("intervention", 0) < ROWS_MAX
    assert not plans.whole_tables & {"ticket"} or plans.rows["ticket"] < ROWS_MAX


@pytest.mark.parametrize("page", ["first", "later"])
@pytest.mark.parametrize(
    "chosen", [ActFilter(), ActFilter(who="bulk"), ActFilter(operator="acme")], ids=str
)
def test_a_page_of_much_examines_one_stretch(connection: Connection, chosen: ActFilter, page: str):
    after = list_acts(connection, chosen, limit=500).next if page == "later" else None
    read = partial(list_acts, connection, chosen, after=after, limit=50)

    acts = read()

    assert (len(acts.acts), acts.examined) == (50, EXAMINED_MAX)
    assert plans_of(connection, read).rows["intervention"] <= EXAMINED_MAX + 51


def test_pages_join_without_gap_or_repeat_though_many_share_a_moment(connection: Connection):
    until = connection.execute(text("SELECT min(at) FROM intervention")).scalar_one()
    chosen = ActFilter(until=until)
    whole = list_acts(connection, chosen, limit=50)

    pieces: list[RecordedAct] = []
    after = None
    while True:
        page = list_acts(connection, chosen, after=after, limit=1)
        pieces += page.acts
        if (after := page.next) is None:
            break

    assert pieces == list(whole.acts)
    assert len(pieces) == 4


def test_times_bound_the_list_on_both_sides(connection: Connection, state: Harness):
    since = state.now - timedelta(days=3)

    assert done(list_acts(connection, ActFilter(since=since, who="anna"), limit=5)) == []
    assert len(list_acts(connection, ActFilter(until=since), limit=5).acts) == 4


def test_a_stretch_without_a_match_says_where_to_go_on(connection: Connection, state: Harness):
    """Of two conditions that many meet, few may meet both."""
    connection.execute(BUSY, {"now": state.now})
    chosen = ActFilter(who="dora", did="ticket_imported")

    page, pages = list_acts(connection, chosen, limit=5), 1
    assert (done(page), page.examined) == ([], EXAMINED_MAX)
    while page.next is not None:
        page, pages = list_acts(connection, chosen, after=page.next, limit=5), pages + 1

    assert 2 <= pages <= 4

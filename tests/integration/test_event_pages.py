"""Events that need a person, by page and by reason: the same cost with 100,000 of them rejected."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.triage import NEEDING_A_PERSON, Selection
from models.triage.event_pages import (
    COUNTED_MAX,
    EXAMINED_MAX,
    count_by_reason,
    count_open,
    list_open_events,
)
from models.triage.event_sentences import remedy
from models.vocabulary import Outcome, Reason
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of

REJECTED = 100_000
RAW = 20_000
FILLING_MAX = timedelta(minutes=2)
CROWD = text(f"""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id)
        SELECT 1 + n % 2, 'C' || n FROM generate_series(1, {2 * REJECTED}) AS n
     RETURNING id)
    INSERT INTO ticket_event (ticket, event_id, action, data, order_time, received_at, outcome,
                              reason, message, status_before, status_after, decided_at)
    SELECT id, 'c' || id, 'ticket_win', '{{}}', :now, :now,
           CASE WHEN id % 2 = 0 THEN 'rejected' ELSE 'applied' END,
           CASE WHEN id < 10 THEN 'other_draw' WHEN id % 4 = 0 THEN 'ticket_closed'
                ELSE 'window_ended' END, 'so it is', 'open', 'open',
           CAST(:now AS timestamptz) - interval '1 day' + id * interval '1 ms'
      FROM made""")  # noqa: S608 - numbers
INPUT = text(f"""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, operator, ticket_id,
                                received_at, rejected_at)
    SELECT n || '-0', '', true, 'not_json', 'not JSON', 'sick', 'R' || n % 100, :now,
           CAST(:now AS timestamptz) - interval '1 day' + n * interval '10 ms'
      FROM generate_series(1, {RAW}) AS n""")  # noqa: S608 - numbers
# Each event or entry that is examined, its ticket, and the lines that are shown.
PAGE_MAX = {"ticket_event": 2 * EXAMINED_MAX, "rejected_input": 2 * EXAMINED_MAX}
COUNT_MAX = {"ticket_event": 2 * COUNTED_MAX, "rejected_input": 2 * COUNTED_MAX}


@pytest.fixture(scope="module")
def crowd(servers, template) -> Iterator[Harness]:
    url = databases.create(servers.database_url, "event_crowd", template=template)
    harness = Harness(
        open_engine(url, application_name="tests", pool_size=1, statement_timeout=FILLING_MAX),
        ManualClock(),
    )
    harness.add_operator("sick")
    harness.add_operator()
    with harness.engine.begin() as connection:
        connection.execute(UNCHECKED)
        for statement in (CROWD, INPUT):
            connection.execute(statement, {"now": harness.now})
    yield harness
    harness.engine.dispose()
    databases.drop(servers.database_url, "event_crowd")


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


def assert_bounded(connection: Connection, read: Any, most: dict[str, int]) -> None:  # noqa: ANN401 - any reading
    plans = plans_of(connection, read)
    assert not plans.whole_tables & {"ticket_event", "rejected_input", "ticket"}
    read_rows = {table: plans.rows.get(table, 0) for table in most}
    assert all(rows <= most[table] for table, rows in read_rows.items()), read_rows


@pytest.mark.parametrize("outcome", NEEDING_A_PERSON)
@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(operator="sick"),
        Selection(reason="other_draw"),
        Selection(action="ticket_lost"),
        Selection(ticket_id="C2000"),
        Selection(operator="acme", ticket_id="R7"),
        Selection(reason="poison", operator="nobody"),
    ],
    ids=str,
)
def test_page_and_overview_examine_a_stretch(
    connection: Connection, outcome: Outcome, selection: Selection
):
    page = partial(list_open_events, connection, outcome, selection, limit=50)
    overview = partial(count_by_reason, connection, outcome, selection)

    assert page().examined <= EXAMINED_MAX
    assert overview().examined <= COUNTED_MAX
    assert_bounded(connection, page, PAGE_MAX)
    assert_bounded(connection, overview, COUNT_MAX)
    assert_bounded(connection, partial(count_open, connection, outcome, most=1000), PAGE_MAX)


def test_a_later_page_costs_what_the_first_does(connection: Connection):
    after = list_open_events(connection, Outcome.REJECTED, Selection(), limit=3000).next
    read = partial(
        list_open_events, connection, Outcome.REJECTED, Selection(), after=after, limit=50
    )

    assert len(read().lines) == 50
    assert_bounded(connection, read, PAGE_MAX)


def test_the_overview_says_that_it_counted_the_newest(connection: Connection):
    overview = count_by_reason(connection, Outcome.REJECTED, Selection())

    assert not overview.complete
    assert sum(each.number for each in overview.reasons) == COUNTED_MAX
    assert {each.reason for each in overview.reasons} == {
        "not_json",
        "ticket_closed",
        "window_ended",
    }
    for each in overview.reasons:
        assert each.newest.reason == each.reason
        newest = list_open_events(
            connection, Outcome.REJECTED, Selection(reason=each.reason), limit=1
        )
        assert newest.lines[0] == each.newest


def test_of_one_ticket_all_is_found_however_old(connection: Connection):
    """Its ids do not depend on which operator's it is."""
    (event,) = list_open_events(
        connection, Outcome.REJECTED, Selection(reason="other_draw", ticket_id="C4"), limit=5
    ).lines
    overview = count_by_reason(connection, Outcome.REJECTED, Selection(ticket_id="R7"))

    assert (event.ticket_id, event.status) == ("C4", "absent")
    assert overview.complete
    assert [(each.reason, each.number) for each in overview.reasons] == [("not_json", RAW // 100)]


def test_what_is_older_than_a_stretch_is_reached_by_going_on(connection: Connection):
    page = list_open_events(connection, Outcome.REJECTED, Selection(reason="other_draw"), limit=50)
    assert (page.lines, page.examined) == ([], EXAMINED_MAX)
    pages = 1
    while not page.lines:
        assert page.next is not None
        page = list_open_events(
            connection,
            Outcome.REJECTED,
            Selection(reason="other_draw"),
            after=page.next,
            limit=50,
        )
        pages += 1

    assert pages == (REJECTED + RAW) // EXAMINED_MAX
    assert {line.reason for line in page.lines} == {"other_draw"}


def test_a_mark_differs_when_one_of_the_newest_goes(connection: Connection):
    number, before = count_open(connection, Outcome.REJECTED, most=1000)
    newest = list_open_events(connection, Outcome.REJECTED, Selection(), limit=1).lines[0]
    connection.execute(
        text("UPDATE ticket_event SET dropped_at = now() WHERE event_id = :id"), {"id": newest.id}
    )
    connection.execute(
        text("UPDATE rejected_input SET dropped_at = now() WHERE entry_id = :id"),
        {"id": newest.id},
    )

    assert number > 1000
    assert count_open(connection, Outcome.REJECTED, most=1000)[1] != before


def test_every_reason_to_need_a_person_says_what_to_do():
    went_through = {"opened_implicitly", "correction", "late_open"}
    confirmed = {"same_result", "already_cancelled"}

    assert {reason for reason in Reason if remedy(reason) is None} == went_through | confirmed

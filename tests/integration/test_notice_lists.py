"""Lists of notices: how each stands, pages without gaps, and a bounded cost with very many."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.outbox.dead_letters import Resolution
from models.outbox.values import Dead
from models.platform.errors import NotFoundError
from models.triage import (
    NoticeOutcome,
    NoticePage,
    NoticePlace,
    Selection,
    list_notices,
    newest_notice,
)
from models.triage import notice_lists as lists
from tests.support import databases
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of
from tests.support.triage_actions import TriageActions

NOTICES_EACH = 30_000  # of each outcome, of two partners and a small third one
LIMIT = 50
FILLING_MAX = timedelta(minutes=3)
BIG = {"notice", "ticket", "delivery_attempt"}
# The third partner's are the first.
CROWD = text(f"""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, notices, unfinished, on_hold_at)
        SELECT CASE WHEN n <= 15 THEN 3 ELSE 1 + n % 2 END, 'C' || n, 1, 1,
               CASE WHEN n <= 40 THEN now() + n * interval '1 s' END
          FROM generate_series(1, {5 * NOTICES_EACH}) AS n
     RETURNING id, operator, substr(ticket_id, 2)::int AS n),
    notices AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                            ended_at, reason, created_at, claims, took_ms, http_status, answer)
        SELECT id, operator, 1, 'ticket_win', 1, '', n / 2 % 5 = 1, now() + n * interval '1 ms',
               e.ended, CASE WHEN e.ended IS NOT NULL THEN now() + n * interval '1 ms' END,
               '410', now(), 1, kept.took_ms, CASE kept.took_ms WHEN 1 THEN 200 END,
               CASE kept.took_ms WHEN 1 THEN 'fine' END
          FROM made, LATERAL (SELECT (ARRAY['dead', NULL, 'delivered', 'skipped', 'not_wanted'])
                                     [1 + n / 2 % 5] AS ended) e,
               LATERAL (SELECT CASE WHEN e.ended = 'delivered' AND n % 4 < 2 THEN 1 END AS took_ms)
                       kept
     RETURNING id, operator, ended, due_at, took_ms)
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status, answer,
                                  recorded_at)
    SELECT id, 1, operator, CASE ended WHEN 'delivered' THEN 'delivered' ELSE 'dead' END, 1,
           CASE ended WHEN 'delivered' THEN 200 ELSE 410 END, 'gone', due_at
      FROM notices WHERE took_ms IS NULL""")  # noqa: S608 - numbers
OLDEST = {
    NoticeOutcome.DEAD: text("""
        SELECT ended_at FROM notice WHERE ended = 'dead' ORDER BY ended_at OFFSET 399 LIMIT 1"""),
    NoticeOutcome.WAITING: text("""
        SELECT due_at FROM notice WHERE head AND ended IS NULL ORDER BY due_at OFFSET 399 LIMIT 1
        """),
}
SMALL = {NoticeOutcome.DEAD: 3, NoticeOutcome.WAITING: 4}  # notices of the third partner
GONE = Dead("410 Gone")
SECOND = timedelta(seconds=1)
NOTHING = Selection(answer="never said", http_status=500)
INDEXES = {
    NoticeOutcome.DEAD: "notice_dead",
    NoticeOutcome.WAITING: "notice_due",
    NoticeOutcome.DELIVERED: "delivery_attempt_recent",
    NoticeOutcome.TRIED: "delivery_attempt_recent",
    NoticeOutcome.SKIPPED: "notice_given_up",
    NoticeOutcome.ON_HOLD: "ticket_on_hold",
    NoticeOutcome.NOT_WANTED: "notice_not_wanted",
}


@pytest.fixture(scope="module")
def crowd(servers, template) -> Iterator[Harness]:
    url = databases.create(servers.database_url, "notice_crowd", template=template)
    harness = Harness(
        open_engine(url, application_name="tests", pool_size=1, statement_timeout=FILLING_MAX),
        ManualClock(),
    )
    for code in ("sick", "acme", "small"):
        harness.add_operator(code)
    with harness.engine.begin() as connection:
        connection.execute(UNCHECKED)
        connection.execute(CROWD)
    with harness.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    yield harness
    harness.engine.dispose()
    databases.drop(servers.database_url, "notice_crowd")


@pytest.fixture
def connection(crowd: Harness) -> Iterator[Connection]:
    with crowd.engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize("outcome", INDEXES)
@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(operator="acme"),
        Selection(action="ticket_lost"),
        NOTHING,
        Selection(http_status=410, operator="sick"),
    ],
)
def test_a_page_examines_a_bounded_number_over_its_index(connection, outcome, selection):
    first = list_notices(connection, outcome, selection, limit=LIMIT)
    plans = plans_of(
        connection,
        lambda: list_notices(connection, outcome, selection, after=first.next, limit=LIMIT),
    )

    assert plans.whole_tables & BIG == set()
    assert INDEXES[outcome] in plans.indexes
    if INDEXES[outcome] == "delivery_attempt_recent":
        assert "notice_taken" in plans.indexes
    most = lists.EXAMINED_MAX if selection.narrows else 3 * (LIMIT + 1)
    if selection.http_status or INDEXES[outcome] == "delivery_attempt_recent":
        most = lists.EXAMINED_BY_ATTEMPT_MAX
    assert first.examined <= most
    # A notice is read again for its last attempt, and for what the page shows. Attempts come from
    # two tables: each gives a full page of candidates, and is read for the last attempt.
    read = plans.rows["notice"] + plans.rows.get("delivery_attempt", 0)
    assert read <= 5 * most + 4 * LIMIT


def test_a_page_that_ends_early_says_how_far_it_came_and_goes_on(connection):
    selection = Selection(answer="never said")
    pages = list(pages_of(connection, NoticeOutcome.DEAD, selection, limit=LIMIT))

    assert all(page.next and page.examined_to == page.next.at for page in pages[:-1])
    assert all(page.examined for page in pages[:-1])
    assert not any(page.lines for page in pages)
    assert pages[-1].examined_to is None
    assert sum(page.examined for page in pages) == NOTICES_EACH
    assert len(pages) < 3 * NOTICES_EACH / lists.EXAMINED_BY_ANSWER_MAX


@pytest.mark.parametrize("outcome", [NoticeOutcome.DEAD, NoticeOutcome.WAITING])
@pytest.mark.parametrize(
    ("selection", "number"),
    [
        (Selection(), 400),
        (Selection(operator="small"), None),
        (Selection(http_status=410), 400),
        (Selection(answer="GON", operator="small"), None),
    ],
)
def test_every_notice_is_on_one_page(connection, outcome, selection, number, monkeypatch):
    """In the order of time, whatever the partners' shares of a page are."""
    monkeypatch.setattr(lists, "EXAMINED_BY_ATTEMPT_MAX", 30)
    monkeypatch.setattr(lists, "EXAMINED_BY_ANSWER_MAX", 20)
    until = connection.execute(OLDEST[outcome]).scalar_one()
    pages = list(pages_of(connection, outcome, replace(selection, until=until), limit=7))
    lines = [line for page in pages for line in page.lines]
    times = [(line.at, line.id) for line in lines]

    assert len({line.id for line in lines}) == len(lines) == (number or SMALL[outcome])
    assert times == sorted(times, reverse=outcome is NoticeOutcome.DEAD)


def test_what_is_looked_at_for_live_pages_is_a_line_of_each_partner(connection):
    plans = plans_of(connection, lambda: newest_notice(connection, NoticeOutcome.WAITING, None))

    assert plans.whole_tables & BIG == set()
    assert plans.rows["notice"] <= 3 * 3  # one, and the next of the same time


def test_a_partner_that_does_not_exist_is_no_empty_list(connection):
    with pytest.raises(NotFoundError, match="acm"):
        list_notices(connection, NoticeOutcome.DEAD, Selection(operator="acm"), limit=1)


def test_each_outcome_lists_what_stands_so(harness, records):
    """A notice is on the list of its outcome, and by its last attempt on that of all tried."""
    triage = TriageActions(harness, records)
    for ticket, verdict in (("dead", GONE), ("skip", GONE), ("hold", GONE), ("told", None)):
        harness.say("ticket_win", ticket)
        harness.deliver(verdict)
        harness.wait(SECOND)
    harness.say("ticket_rollback", "skip")
    triage.resolve(records.notice(1, "skip").id, Resolution.SKIP_NOT_DELIVERED)
    harness.hold("hold")
    harness.say("ticket_rollback", "dead")
    harness.say("ticket_lost", "wait")
    with harness.engine.begin() as connection:
        connection.execute(text("UPDATE operator SET wants = 'ticket_update'"))
    harness.say("ticket_win", "spare")

    def listed(outcome: NoticeOutcome) -> list[tuple[str, str]]:
        with harness.engine.begin() as connection:
            page = list_notices(connection, outcome, Selection(), limit=LIMIT)
        assert page.next is None
        return [(line.ticket_id, line.action) for line in page.lines]

    assert listed(NoticeOutcome.DEAD) == [("hold", "ticket_win"), ("dead", "ticket_win")]
    assert listed(NoticeOutcome.ON_HOLD) == [("hold", "ticket_win")]
    assert listed(NoticeOutcome.WAITING) == [("wait", "ticket_lost")]
    assert listed(NoticeOutcome.SKIPPED) == [("skip", "ticket_win")]
    assert listed(NoticeOutcome.WITHDRAWN) == [("skip", "ticket_rollback")]
    assert listed(NoticeOutcome.NOT_WANTED) == [("spare", "ticket_win")]
    assert listed(NoticeOutcome.DELIVERED) == [("told", "ticket_win")]
    assert [ticket for ticket, _ in listed(NoticeOutcome.TRIED)] == ["told", "hold", "skip", "dead"]
    with harness.engine.begin() as connection:
        dead = list_notices(connection, NoticeOutcome.DEAD, Selection(), limit=LIMIT).lines[1]
    assert (dead.behind, dead.verdict, dead.http_status, dead.tries) == (1, "dead", 200, 1)


def pages_of(
    connection: Connection, outcome: NoticeOutcome, selection: Selection, *, limit: int
) -> Iterator[NoticePage]:
    """Yield a list page by page."""
    place: NoticePlace | None = None
    while True:
        page = list_notices(connection, outcome, selection, after=place, limit=limit)
        yield page
        place = page.next
        if place is None:
            return

"""The page of what people did, and its CSV file."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.operators.interventions import Change, Person, record_intervention
from models.platform.clock import DatabaseClock
from tests.support import databases
from tests.support.console_app import ConsoleApp, ConsoleClient, console_app_on
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from worker.console.pages.history import COLUMNS, CSV_PAGE, PAGE

HOSTILE = '<script>alert(1)</script>\u202e\x1b[2J"\r\nx'
PLAYER = "player-4711"
AMOUNT = 114_587_456  # long: a page has tokens of random digits and letters
ANNA = Person("anna", f"{PLAYER} asked for it")
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\uff1d1+1")
MANY = text("""
    INSERT INTO intervention (at, who, why, did, operator, facts)
    SELECT CAST(:now AS timestamptz) - (n / 20) * interval '1 second', 'bulk', 'moved',
           'operator_changed', 'acme', jsonb_build_object('number', n)
      FROM generate_series(1, :count) AS n""")
EVERYTHING = CSV_PAGE + PAGE


@pytest.fixture(scope="module")
def engine(servers, template) -> Iterator[Engine]:
    url = databases.create(servers.database_url, "console_history", template=template)
    opened = open_engine(url, application_name="tests", pool_size=2)
    yield opened
    opened.dispose()
    databases.drop(servers.database_url, "console_history")


@pytest.fixture(scope="module")
def console(engine: Engine) -> Iterator[ConsoleApp]:
    """Some acts of some people, and many of one."""
    with engine.begin() as connection:
        now = DatabaseClock().now(connection) - timedelta(hours=2)
        connection.execute(MANY, {"now": now - timedelta(hours=2), "count": EVERYTHING})
    harness = Harness(engine, ManualClock(now))
    harness.add_operator()
    harness.say("ticket_win", "T/1")
    harness.hold("T/1")
    with engine.begin() as connection:
        for why in FORMULAS:
            change = Change("user_added", facts={"user": "=cmd()"})
            record_intervention(connection, change, person=Person("=evil()", why), at=now)
        facts = {"net_payout": AMOUNT, "player_id": PLAYER}
        record_intervention(connection, Change("job_started", facts=facts), person=ANNA, at=now)
        hostile = Person(HOSTILE, HOSTILE)
        record_intervention(connection, Change("of_another_release"), person=hostile, at=now)
    url = databases.address_of(engine)
    with console_app_on(plain_settings(database_url=url), engine) as running:
        yield running


def exported(client: ConsoleClient, **query: str) -> list[dict[str, str]]:
    response = client.get("/history.csv", **query)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


def test_an_act_is_a_sentence_with_its_person_its_ticket_and_its_reason(console: ConsoleApp):
    page = console.support.page("/history", did="ticket_held")

    (row,) = page.rows()
    assert row[1] == "vera"
    assert "Put the ticket on hold: the ticket was resulted/won" in row[2]
    assert row[4] == "the player disputes it"
    assert page.links()["T/1"] == "/tickets/acme/T%2F1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"who": "vera"}, 1),
        ({"partner": "acme", "ticket": "T/1"}, 1),
        ({"ticket": "T/1", "did": "user_added"}, 0),
        ({"who": "anna", "since": "3h", "until": "1h"}, 1),
        ({"who": "anna", "until": "2020-01-01 10:00"}, 0),
        ({"did": "no_such_act"}, 0),
    ],
    ids=str,
)
def test_filters_narrow_the_page_and_the_file(console: ConsoleApp, query, expected: int):
    page = console.support.page("/history", **query)

    assert len(page.rows() if page.tree.css("table") else []) == expected
    assert len(exported(console.support, **query)) == expected
    if not expected:
        assert "Nobody did anything that matches this filter." in page.words


@pytest.mark.parametrize("path", ["/history", "/history.csv"])
@pytest.mark.parametrize(
    "query", [{"since": "soon"}, {"who": "x" * 256}, {"ticket": "x" * 256}], ids=str
)
def test_a_filter_that_cannot_be_read_says_what_is_wrong(console: ConsoleApp, path: str, query):
    assert console.viewer.page(path, status=422, **query).text("h1") == "This cannot be read"


def test_a_place_that_is_none_is_refused(console: ConsoleApp):
    assert console.viewer.page("/history", status=422, after="nonsense").words


def test_pages_join_without_gap_or_repeat(console: ConsoleApp):
    seen: list[str] = []
    path: str | None = "/history?who=bulk"
    while path is not None:
        page = console.support.page(path)
        seen += page.texts("td[data-label=What] pre")
        following = page.tree.css_first("a[rel=next]")
        path = None if following is None else following.attributes["href"]

    assert len(seen) == EVERYTHING
    assert len(set(seen)) == EVERYTHING


def test_hostile_text_is_shown_and_not_obeyed(console: ConsoleApp):
    page = console.support.page("/history", did="of_another_release")

    assert "<script>alert(1)</script>" in page.words
    assert page.tree.css("main script") == []
    assert not any(hidden in page.response.text for hidden in "\x1b\u202e")
    assert "Of another release" in page.words


def test_a_viewer_sees_no_player_and_no_amount(console: ConsoleApp):
    page = console.viewer.page("/history", who="anna")
    (row,) = exported(console.viewer, who="anna")
    (whole,) = exported(console.support, who="anna")

    assert PLAYER in whole["why"]
    assert str(AMOUNT) in whole["facts"]
    assert "Reasons are hidden" in page.words
    for hidden in (PLAYER, str(AMOUNT)):
        assert hidden not in page.response.text
        assert hidden not in str(row)
    assert "•••" in row["facts"]


def test_no_cell_of_the_file_is_a_formula_or_hides_something(console: ConsoleApp):
    rows = exported(console.support)

    cells = [cell for row in rows for cell in row.values()]
    assert not [
        cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    ]
    assert not [cell for cell in cells if set(cell) & set("\x1b\u202e\r\n\t")]
    assert {row["why"] for row in rows if row["who"] == "'=evil()"} == {
        *("'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\\u0009x", "'\\u000dx", "'\uff1d1+1"),
    }


def test_the_file_has_all_that_matches_and_not_a_page_of_it(console: ConsoleApp):
    rows = exported(console.support, who="bulk")

    assert len({row["facts"] for row in rows}) == EVERYTHING
    assert tuple(rows[0]) == COLUMNS
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    links = console.support.page("/history", who="bulk").links()
    assert links["Export as CSV"] == "/history.csv?who=bulk"


def test_a_stranger_gets_no_file(console: ConsoleApp):
    response = console.stranger(follow_redirects=False).get("/history.csv")

    assert (response.status_code, "sign-in" in response.headers["location"]) == (303, True)

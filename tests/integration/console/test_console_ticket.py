"""The page of a ticket: what it says, what of it is masked, and the acts."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from models.outbox.values import Attempt, Dead, RetryLater
from models.platform.clock import DatabaseClock
from tests.support.console_app import ConsoleApp
from tests.support.harness import TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

HOSTILE = "<script>alert(1)</script>\u202egpj.exe\x1b[31m" + "x" * 3000
PLAYER = "player-4711"
FACTS: dict[str, Any] = {
    "player_id": PLAYER,
    "ticket_code": "C-7",
    "price": 123_450,
    "currency": "EUR",
}
INTERVENTIONS = text("SELECT who, why, did, facts FROM intervention WHERE ticket IS NOT NULL")
NOTICES = text("SELECT id, action, ended, repeat FROM notice ORDER BY number")
PATH = "/tickets/acme/T"


@pytest.fixture
def at_work(engine: Engine, records: Records) -> Harness:
    """A harness whose time began a day ago by the clock of the console."""
    del records  # checked at the end
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - timedelta(days=1)))
    harness.add_operator()
    return harness


@pytest.fixture
def dead(at_work: Harness) -> Harness:
    """The ticket T, whose win has been refused after a retry: its answers are hostile."""
    at_work.say("ticket_open", event_id="one", **FACTS)
    at_work.say("ticket_win", event_id="two", net_payout=777_00)
    at_work.record_attempts(
        Attempt(at_work.claim_one(), RetryLater(timedelta(seconds=1)), TOOK, 503, answer=HOSTILE)
    )
    at_work.wait(timedelta(seconds=2))
    at_work.record_attempts(
        Attempt(
            at_work.claim_one(),
            Dead("answered 410"),
            TOOK,
            410,
            problem="answered 410",
            answer=f'{{"player_id":"{PLAYER}","balance":98765}}',
        )
    )
    return at_work


def interventions(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(INTERVENTIONS))


def notices(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(NOTICES))


def test_the_page_says_why_what_happened_and_where_it_stands(dead: Harness, console: ConsoleApp):
    page = console.support.page(PATH)

    assert page.text("h1") == "Ticket T"
    assert "ticket_win is dead (answered 410): a person must retry or skip it" in page.text(".why")
    assert page.text(".state.present text") == "resulted"
    assert page.text("svg title") == (
        "The ticket is resulted. It went from absent to open, open to resulted."
    )
    rows = page.rows("#timeline table")
    assert [row[1] for row in rows] == ["event", "event", "notice", "attempt", "attempt"]
    assert "1,234.50 EUR" in page.text("#facts")
    assert PLAYER in page.text("#facts")
    assert "<script>alert" not in page.response.text
    assert "\u202e" not in page.response.text
    del dead

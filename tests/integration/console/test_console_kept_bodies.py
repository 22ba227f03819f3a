"""What the console and its API show of a ticket whose bodies were removed (rule 28)."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.platform.clock import DatabaseClock
from models.sweeps.bodies import remove_bodies
from tests.support.api_client import OperationsApi
from tests.support.console_app import ConsoleApp
from tests.support.harness import CLOSE_DELAY, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

KEEP = text("UPDATE operator SET keep_bodies = interval '720 hours'")
PATH = "/tickets/acme/T"


@pytest.fixture
def emptied(engine: Engine, records: Records) -> int:
    """A ticket that closed forty days ago; the id of its result's notice."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - timedelta(days=41)))
    harness.add_operator()
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.wait(timedelta(days=30, hours=2))
    with engine.begin() as connection:
        connection.execute(KEEP)
        assert remove_bodies(connection, now=harness.now, limit=10) == 1
    notice: int = records.notice(1).id
    return notice


def test_the_pages_say_so_and_offer_nothing_that_can_only_be_refused(
    console: ConsoleApp, emptied: int
):
    """Neither a command without a body nor a button to send it again."""
    ticket = console.support.page(PATH)
    attempt = console.support.page(f"{PATH}/attempts/{emptied}/1")

    assert "removed after 30d2h" in ticket.words
    assert "Nothing can be sent again: what was sent was removed after 30d2h" in ticket.words
    assert "What was sent was removed after 30d2h." in attempt.words
    assert "What was answered was removed after 30d2h." in attempt.words
    assert "curl" not in attempt.words


def test_the_api_says_so_and_its_refusal_says_why(api: OperationsApi, emptied: int):
    ticket = api.support.read(PATH)["history"]["ticket"]
    attempt = api.viewer.read(f"/notices/{emptied}/attempts/0")
    again = api.support.act(f"/notices/{emptied}/send-again")

    assert ticket["bodies_removed"]["after"] == "30d2h"
    assert attempt["contents_gone"] == "removed after 30d2h"
    assert (attempt["request"]["body"], attempt["request"]["curl"]) == (None, None)
    assert again.status_code == 409
    assert "its body was removed when the time was over" in again.text

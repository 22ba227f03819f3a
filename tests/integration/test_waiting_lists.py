"""`slipway notices undelivered list` and `slipway tickets list`: unfinished work, by pages."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, text

from models.outbox.values import Attempt, Dead, RetryLater, Unanswered
from models.platform.clock import DatabaseClock
from models.triage import list_undelivered, list_unended
from models.vocabulary import Status
from tests.support.command_line import CommandLine
from tests.support.harness import SLIP, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of

HOUR = timedelta(hours=1)
LATER = timedelta(days=1)
SHOWN = 10
CROWD = text("""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, status, result, closed_at, notices, unfinished)
        SELECT 1 + n % 2, 'T' || n, CASE WHEN n % 50 < 2 THEN 'open' ELSE 'closed' END,
               CASE WHEN n % 50 < 2 THEN 'pending' ELSE 'lost' END,
               CASE WHEN n % 50 < 2 THEN NULL ELSE now() END, 1, 1
          FROM generate_series(1, 5000) AS n
     RETURNING id, operator)
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at, ended,
                        ended_at, created_at)
    SELECT id, operator, 1, 'ticket_win', 1, '', id % 7 = 0, now() + id * interval '1 ms',
           CASE WHEN id % 7 = 0 THEN NULL ELSE 'delivered' END,
           CASE WHEN id % 7 = 0 THEN NULL ELSE now() END, now() - id * interval '1 s'
      FROM made""")


@pytest.fixture
def past_harness(engine: Engine) -> Harness:
    """A harness whose time is an hour before the database's, which commands go by."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - HOUR))
    harness.add_operator()
    return harness


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


def tried(harness: Harness, ticket: str, verdict: object, **facts: object) -> None:
    """Publish a win and have its first attempt meet *verdict*."""
    harness.say("ticket_win", ticket)
    attempt = Attempt(harness.claim_one(), verdict, TOOK, **facts)  # type: ignore[arg-type]  # as a test gives it
    harness.record_attempts(attempt)


def test_what_is_undelivered_between_two_tries_is_listed_with_its_last_problem(
    slipway, past_harness
):
    refused = {"http_status": 503, "problem": "answered 503", "answer": "try\x1b[31m later"}
    tried(past_harness, "later", RetryLater(LATER), **refused)
    past_harness.wait(timedelta(minutes=30))
    tried(past_harness, "lost", Unanswered(2 * LATER), problem="no answer within 5s")
    tried(past_harness, "dead", Dead("answered 410"), http_status=410)
    past_harness.say("ticket_rollback", "later")  # waits behind its result
    past_harness.say("ticket_lost", "fresh")

    listed = slipway("notices", "undelivered", "list")
    document = slipway("notices", "undelivered", "list", "--operator", "acme", "--json").document()
    old = slipway("notices", "undelivered", "list", "--older-than", "45m")

    _, fresh, later, lost = listed.out.splitlines()
    assert fresh.split()[2:] == ["acme", "fresh", "ticket_lost", "0", "due", "now", "not", "tried"]
    assert "answered 503: try\ufffd[31m later" in later
    assert lost.endswith("no answer within 5s (perhaps delivered)")
    assert [notice["ticket_id"] for notice in document["notices"]] == ["fresh", "later", "lost"]
    assert document["next"] is None
    assert [line.split()[3] for line in old.out.splitlines()[1:]] == ["later"]


def test_what_is_undelivered_says_what_holds_it(slipway, past_harness):
    past_harness.say("ticket_win", "T")
    slipway("operators", "disable", "acme", "--why", "as agreed")
    held = slipway("notices", "undelivered", "list").out
    slipway("operators", "enable", "acme", "--why", "as agreed")

    assert "held: operator disabled" in held
    assert (
        "no undelivered notices"
        in slipway("notices", "undelivered", "list", "--older-than", "9999d").err
    )
    unknown = slipway("notices", "undelivered", "list", "--operator", "acne")
    assert (unknown.code, "did you mean 'acme'" in unknown.err) == (1, True)


def test_a_partner_s_tickets_that_have_not_ended_are_listed_oldest_first(slipway, past_harness):
    past_harness.add_operator("betsy")
    slip = {**SLIP, "ticket_code": "C-1", "player_id": "p-1", "price": 500, "currency": "EUR"}
    past_harness.say("ticket_open", "open", **slip)
    past_harness.say("ticket_open", "other", operator="betsy")
    past_harness.say("ticket_discard", "gone")
    past_harness.say("ticket_rollback", "nowhere")
    past_harness.wait(HOUR / 2)
    past_harness.say("ticket_win", "won", **slip)
    past_harness.say("ticket_reserve", "held", **slip)

    def ids(*options: str) -> list[str]:
        listed = slipway("tickets", "list", "--operator", "acme", *options, "--json").document()
        return [ticket["ticket_id"] for ticket in listed["tickets"]]

    shown = slipway("tickets", "list", "--operator", "acme").out
    assert ids() == ["open", "won", "held"]
    assert ids("--status", "open") == ["open"]
    assert ids("--status", "open", "--status", "new") == ["open", "held"]
    assert "code C-1, player p-1" in shown
    assert "price 5.00 EUR" in shown
    assert "resulted/won" in shown
    assert "notices: 1" in shown
    assert slipway("tickets", "list").code == 2
    assert slipway("tickets", "list", "--operator", "acne").code == 1


def test_both_lists_go_on_where_a_page_ended(slipway, past_harness):
    for number in range(5):
        past_harness.say("ticket_win", f"T{number}")
        past_harness.wait(timedelta(seconds=number % 2))  # some share their moment

    for command, what in (("notices undelivered list", "notices"), ("tickets list", "tickets")):
        command_line = (*command.split(), "--operator", "acme", "--limit", "2")
        listed: list[str] = []
        page = slipway(*command_line, "--json").document()
        listed += [line["ticket_id"] for line in page[what]]
        assert f"--after {page['next']}" in slipway(*command_line).err
        while page["next"] is not None:
            page = slipway(*command_line, "--after", page["next"], "--json").document()
            listed += [line["ticket_id"] for line in page[what]]
        assert listed == ["T0", "T1", "T2", "T3", "T4"]
        for wrong in ("x", "", "2026-11-20T10:00:00Z,x", "9" * 30, "-1", "\u0663"):
            refused = slipway(*command_line, "--after", wrong)
            assert (refused.code, "is not where a page ends" in refused.err) == (2, True)


@pytest.fixture
def crowd(engine: Engine) -> Iterator[Connection]:
    harness = Harness(engine, ManualClock())
    for code in ("acme", "beta"):
        harness.add_operator(code)
    with engine.begin() as connection:
        connection.execute(CROWD)
        connection.execute(text("ANALYZE"))
    with engine.connect() as connection:
        yield connection


def test_a_page_of_what_is_undelivered_reads_what_it_shows(crowd):
    """Over the index of the claim, however many wait behind it."""
    page = list_undelivered(crowd, operator="acme", limit=SHOWN)
    plans = plans_of(
        crowd, lambda: list_undelivered(crowd, operator="acme", after=page.next, limit=SHOWN)
    )

    assert "notice_due" in plans.indexes
    assert plans.whole_tables <= {"operator", "circuit"}
    assert plans.rows["notice"] <= 2 * SHOWN


def test_a_page_of_unended_tickets_reads_what_it_shows(crowd):
    """However many of the operator's have ended."""
    page = list_unended(crowd, operator="acme", statuses=[Status.OPEN], limit=SHOWN)
    plans = plans_of(
        crowd,
        lambda: list_unended(
            crowd, operator="acme", statuses=[Status.OPEN], after=page.next, limit=SHOWN
        ),
    )

    assert "ticket_unended" in plans.indexes
    assert plans.whole_tables <= {"operator"}
    assert plans.rows["ticket"] <= SHOWN + 1

"""`slipway ticket` on a troubled ticket reads like a story that a support person understands."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from models.lifecycle.words import Outcome
from models.outbox.dead import WayOut
from models.outbox.values import Attempt, Dead, Unanswered
from tests.support.books import Books
from tests.support.command_line import CommandLine
from tests.support.desk import PARTNER_GRACE, TOOK, Desk
from tests.support.manual_clock import ManualClock
from tests.support.ways_out import WaysOut

SECOND = timedelta(seconds=1)

# Word for word, but for the spaces and the day. `when what which how-it-ended details`.
TOLD = """
Ticket T of acme: open: its result was rolled back and no new one has come yet; 1 parked event
(ticket_rollback) waits for what must come before, and its time to wait is over.
status open, result pending, generation 1, close delay 24h

when      what     which                             how it ended                    details
10:00:00  event    ticket_open                       applied (absent to open)        id one
10:01:00  event    ticket_win                        applied (open to resulted/won)  id two;
    the partner is owed ticket_win (number 1)
10:01:00  notice   ticket_win                        number 1
    owed to the partner
10:01:00  attempt  ticket_win                        unanswered
    attempt 1: no answer within 5s in 0.120 s
10:01:10  attempt  ticket_win                        dead
    attempt 2: 410 in 0.120 s: answered 410
10:01:11  event    ticket_rollback                   arrived                         id three;
    decided 10:01:15
10:01:12  event    ticket_win                        duplicate
    id two came again once; it counts once, so nothing changed
10:01:13  event    ticket_paid                       rejected (resulted/won)         id five;
    the ticket is resulted/won, not reserved
10:01:14  refused  six                               unknown_action
    action 'ticket_lose' is not known; did you mean ticket_lost? (kept raw: entry ENTRY)
10:01:15  person   retried ticket_rollback three     by anna
    their clock was slow; as if it happened now (--as-now); it was superseded (older_rollback)
10:01:15  event    ticket_rollback                   applied (resulted/won to open)  id three;
    the partner is owed ticket_rollback (number 2); happened 10:00:30
10:01:15  notice   ticket_rollback                   number 2
    owed to the partner
10:01:16  person   skipped ticket_win of generation 1  by anna
    their clock was slow; --not-delivered
10:01:16  notice   ticket_win                        skipped
    by a person's word; it was dead: answered 410
10:01:16  notice   ticket_rollback                   withdrawn
    the partner was never told the result it takes back
10:01:17  event    ticket_rollback                   parked (open)                   id four;
    there is no result to withdraw yet; waits until 10:16:17
"""


@pytest.fixture
def clock() -> ManualClock:
    """Long ago: the command itself goes by the database's clock."""
    return ManualClock(datetime(2024, 11, 20, 10, 0, tzinfo=UTC))


@pytest.fixture
def ways(desk: Desk, books: Books) -> WaysOut:
    return WaysOut(desk, books)


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def entry_id(desk: Desk, books: Books, ways: WaysOut) -> str:
    """A ticket to which everything happened that needs explaining; what was kept raw of it."""
    desk.say("ticket_open", event_id="one")
    desk.wait(60 * SECOND)
    desk.say("ticket_win", event_id="two")
    silence = "no answer within 5s"
    desk.record_attempts(
        Attempt(desk.claim_one(), Unanswered(PARTNER_GRACE), TOOK, problem=silence)
    )
    desk.wait(PARTNER_GRACE)
    gone = "answered 410"
    desk.record_attempts(Attempt(desk.claim_one(), Dead(gone), TOOK, http_status=410, problem=gone))
    desk.wait(SECOND)
    desk.say("ticket_rollback", event_id="three", at=desk.now - 41 * SECOND)
    desk.wait(SECOND)
    desk.say("ticket_win", event_id="two")
    desk.wait(SECOND)
    desk.say("ticket_paid", event_id="five")
    desk.wait(SECOND)
    desk.say("ticket_lose", event_id="six")
    desk.wait(SECOND)
    ways.retry("three", outcome=Outcome.SUPERSEDED, as_now=True)
    desk.wait(SECOND)
    ways.free(books.notice(1).id, WayOut.SKIP_NOT_DELIVERED)
    desk.wait(SECOND)
    desk.say("ticket_rollback", event_id="four")
    return str(books.rejected()[0].entry_id)


def test_the_story_is_told_in_order_with_causes_people_and_times(slipway, desk, entry_id):
    told = slipway("ticket", "T")
    read = re.sub(f"{desk.now:%F}T([0-9:]*)Z", r"\1", told.out).replace(entry_id, "ENTRY")

    assert (told.code, told.err) == (0, "")
    assert read.split() == TOLD.split()


@pytest.mark.usefixtures("entry_id")
def test_programs_read_the_same_story(slipway):
    (story,) = slipway("ticket", "T", "--json").document()
    events = {one["event_id"]: one for one in story["events"]}
    back = events["three"]
    skipped = story["interventions"][1]

    assert [one["outcome"] for one in story["events"]] == [
        *("applied", "applied", "applied", "rejected", "parked"),
    ]
    assert (back["status_before"], back["status_after"]) == ("resulted/won", "open")
    assert (back["received_at"][11:19], back["decided_at"][11:19]) == ("10:01:11", "10:01:15")
    assert [(one["number"], one["action"], one["ended"]) for one in back["notices"]] == [
        (2, "ticket_rollback", "withdrawn")
    ]
    assert (events["two"]["repeats"], events["two"]["repeated_at"][11:19]) == (1, "10:01:12")
    assert events["five"]["reason"] == "not_reserved"
    assert (skipped["who"], skipped["did"], skipped["facts"]["way"]) == (
        *("anna", "notice_skipped", "skip --not-delivered"),
    )
    assert [one["reason"] for one in story["refused"]] == ["unknown_action"]

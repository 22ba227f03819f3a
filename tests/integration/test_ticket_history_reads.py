"""`slipway ticket` shows a troubled ticket so that support staff understand it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from models.outbox.dead_letters import Resolution
from models.outbox.values import Attempt, Dead, RetryLater, Unanswered
from models.vocabulary import Outcome
from tests.support.command_line import CommandLine
from tests.support.harness import PARTNER_GRACE, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records
from tests.support.triage_actions import TriageActions

SECOND = timedelta(seconds=1)

# Word for word, but for the spaces and the day. `when what which how-it-ended details`.
HISTORY = """
Ticket T of acme: open: its result was rolled back and no new one has come yet; 1 parked event
(ticket_rollback) waits for an earlier event, and its parking window is over.
status open, result pending, generation 1, close delay 24h
code C-7, player p-1, price 1,234.50 EUR

when      what     which                             how it ended                    details
10:00:00  event    ticket_open                       applied (absent to open)        id one;
    code C-7; player p-1; price 1,234.50 EUR
10:01:00  event    ticket_win                        applied (open to resulted/won)  id two;
    net payout 20.00 EUR;
    caused ticket_win (number 1)
10:01:00  notice   ticket_win                        number 1
    to be sent to the partner; notice 1
10:01:00  attempt  ticket_win                        unanswered
    attempt 1: no answer within 5s in 0.120 s
10:01:10  attempt  ticket_win                        dead
    attempt 2: 410 in 0.120 s: {"message":"no such �[31mticket"}
10:01:11  event    ticket_rollback                   arrived                         id three;
    decided 10:01:15
10:01:12  event    ticket_win                        duplicate
    id two was repeated once; it counts once, so nothing changed
10:01:13  event    ticket_paid                       rejected (resulted/won)         id five;
    the ticket is resulted/won, not reserved
10:01:14  refused  six                               unknown_action
    action 'ticket_lose' is not known; did you mean ticket_lost? (raw input of entry ENTRY)
10:01:15  person   retried ticket_rollback three     by anna
    their clock was slow; as if it happened now (--as-now); it was superseded (older_rollback)
10:01:15  event    ticket_rollback                   applied (resulted/won to open)  id three;
    caused ticket_rollback (number 2); happened 10:00:30
10:01:15  notice   ticket_rollback                   number 2
    to be sent to the partner; notice 2
10:01:16  person   skipped ticket_win of generation 1  by anna
    their clock was slow; --not-delivered
10:01:16  notice   ticket_win                        skipped
    set by a person; it was dead: answered 410
10:01:16  notice   ticket_rollback                   withdrawn
    the partner never received the result it takes back
10:01:17  event    ticket_rollback                   parked (open)                   id four;
    there is no result to withdraw yet; waits until 10:16:17
"""


@pytest.fixture
def clock() -> ManualClock:
    """Long ago: the command itself goes by the database's clock."""
    return ManualClock(datetime(2024, 11, 20, 10, 0, tzinfo=UTC))


@pytest.fixture
def triage(harness: Harness, records: Records) -> TriageActions:
    return TriageActions(harness, records)


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def entry_id(harness: Harness, records: Records, triage: TriageActions) -> str:
    """A ticket to which everything happened that needs explaining, and its rejected input."""
    slip: dict[str, Any] = {
        "ticket_code": "C-7",
        "player_id": "p-1",
        "price": 123450,
        "currency": "EUR",
    }
    harness.say("ticket_open", event_id="one", **slip)
    harness.wait(60 * SECOND)
    harness.say("ticket_win", event_id="two", net_payout=2000)
    silence = "no answer within 5s"
    harness.record_attempts(
        Attempt(harness.claim_one(), Unanswered(PARTNER_GRACE), TOOK, problem=silence)
    )
    harness.wait(PARTNER_GRACE)
    gone = "answered 410"
    answer = '{"message":"no such \x1b[31mticket"}'
    refusal = Attempt(harness.claim_one(), Dead(gone), TOOK, http_status=410, problem=gone)
    harness.record_attempts(replace(refusal, answer=answer))
    harness.wait(SECOND)
    harness.say("ticket_rollback", event_id="three", at=harness.now - 41 * SECOND)
    harness.wait(SECOND)
    harness.say("ticket_win", event_id="two", net_payout=2000)
    harness.wait(SECOND)
    harness.say("ticket_paid", event_id="five")
    harness.wait(SECOND)
    harness.say("ticket_lose", event_id="six")
    harness.wait(SECOND)
    triage.retry("three", outcome=Outcome.SUPERSEDED, as_now=True)
    harness.wait(SECOND)
    triage.resolve(records.notice(1).id, Resolution.SKIP_NOT_DELIVERED)
    harness.wait(SECOND)
    harness.say("ticket_rollback", event_id="four")
    return str(records.rejected()[0].entry_id)


def test_the_history_is_told_in_order_with_causes_people_and_times(slipway, harness, entry_id):
    output = slipway("ticket", "T")
    read = re.sub(f"{harness.now:%F}T([0-9:]*)Z", r"\1", output.out).replace(entry_id, "ENTRY")

    assert (output.code, output.err) == (0, "")
    assert read.split() == HISTORY.split()


@pytest.mark.usefixtures("entry_id")
def test_programs_read_the_same_history(slipway):
    (history,) = slipway("ticket", "T", "--json").document()
    events = {event["event_id"]: event for event in history["events"]}
    back = events["three"]
    skipped = history["interventions"][1]

    assert [event["outcome"] for event in history["events"]] == [
        *("applied", "applied", "applied", "rejected", "parked"),
    ]
    assert (back["status_before"], back["status_after"]) == ("resulted/won", "open")
    assert (back["received_at"][11:19], back["decided_at"][11:19]) == ("10:01:11", "10:01:15")
    assert [
        (notice["number"], notice["action"], notice["ended"]) for notice in back["notices"]
    ] == [(2, "ticket_rollback", "withdrawn")]
    assert (events["two"]["repeats"], events["two"]["repeated_at"][11:19]) == (1, "10:01:12")
    assert events["five"]["reason"] == "not_reserved"
    assert (skipped["who"], skipped["did"], skipped["facts"]["way"]) == (
        *("anna", "notice_skipped", "skip_not_delivered"),
    )
    assert [raw["reason"] for raw in history["refused"]] == ["unknown_action"]


def test_attempts_that_met_the_same_are_one_line_with_their_count(slipway, harness):
    """A probe every 15 s for an hour: one line each time the answer changes, not 240."""
    harness.say("ticket_win", event_id="one")
    began = harness.now

    def answered(status: int, answer: str) -> None:
        wait = RetryLater(timedelta(seconds=15))
        tried = Attempt(harness.claim_one(), wait, TOOK, http_status=status, problem="again")
        harness.record_attempts(replace(tried, problem=f"answered {status}", answer=answer))
        harness.wait(timedelta(seconds=15))

    for number in range(176):
        answered(503, f"try later, request 7f3a-{number} at {harness.now}")
    answered(500, "oops")
    answered(503, "try " + "later " * 100)
    lines = [line for line in slipway("ticket", "T").out.splitlines() if " attempt " in line]
    history = slipway("ticket", "T", "--json").document()[0]

    last = (began + 175 * timedelta(seconds=15)).strftime("%FT%TZ")
    first, second, third = (" ".join(line.split()) for line in lines)
    assert first.startswith(f"{began:%FT%TZ} attempt ticket_win again 176 attempts (1 to 176), the")
    assert f"the last {last}: 503 in 0.120 s: try later, request 7f3a-175 at" in first
    assert second.endswith("attempt 177: 500 in 0.120 s: oops")
    assert "attempt 178: 503 in 0.120 s: try later later" in third
    assert len(third) < 300
    assert len(history["notices"][0]["attempts"]) == 178

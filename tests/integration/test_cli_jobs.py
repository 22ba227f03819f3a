"""`slipway jobs`, and what a command starts with `--background`."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from models.outbox.values import Dead
from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.job_actions import JobActions
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.usefixtures("records")
WHY = ("--why", "as agreed", "--by", "anna")
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(engine) -> ManualClock:
    """An hour before the database's time, which commands go by."""
    with engine.connect() as connection:
        return ManualClock(DatabaseClock().now(connection) - HOUR)


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def dead(harness: Harness, jobs: JobActions) -> Harness:
    """Three dead results; the time has come for what commands start now."""
    for ticket in ("A", "B", "C"):
        harness.say("ticket_win", ticket)
    harness.deliver(Dead("410 Gone"))
    harness.wait(2 * HOUR)
    return harness


@pytest.mark.usefixtures("dead")
def test_dead_notices_are_retried_in_the_background(slipway, jobs, harness):
    started = slipway(
        *["notices", "dead", "retry", "--operator", "acme", "--background", "--pace", "50/s"],
        *WHY,
        "--yes",
    )

    assert (started.code, started.out) == (
        0,
        "job 1 started for 3: `slipway jobs show 1 --follow`\n",
    )
    assert "3 dead notices will be sent again" in started.err
    assert "waiting" in slipway("jobs", "list").out
    jobs.advance_all()
    assert harness.deliver() == [("A", "ticket_win"), ("B", "ticket_win"), ("C", "ticket_win")]

    shown = slipway("jobs", "show", "1", "--follow")
    assert shown.code == 0
    for fact in ("retry_notices", "done", "anna: as agreed", "3 of 3", "50/s"):
        assert fact in shown.out
    (listed,) = slipway("jobs", "list", "--state", "done", "--json").document()
    assert (listed["id"], listed["done"], listed["expected"]) == (
        1,
        3,
        {"number": 3, "exact": True},
    )
    assert slipway("jobs", "list", "--state", "failed").err == "slipway: no jobs\n"


def test_a_skip_in_the_background_says_which(slipway, jobs, dead, records):
    ids = [str(records.notices(ticket)[0].id) for ticket in ("A", "B")]
    unsaid = slipway(*["notices", "dead", "skip", "--background"], *ids, *WHY, "--yes")
    slipway(*["notices", "dead", "skip", "--background", "--not-delivered"], *ids, *WHY, "--yes")
    jobs.advance_all()

    assert (unsaid.code, "needs --delivered" in unsaid.err) == (2, True)
    ends = [records.notices(ticket)[0].ended for ticket in ("A", "B", "C")]
    assert ends == ["skipped", "skipped", "dead"]


def test_what_matches_nothing_starts_no_job(slipway):
    ended = slipway(*["notices", "dead", "retry", "--operator", "acme", "--background"], *WHY)

    assert (ended.code, ended.out) == (0, "nothing matches, so no job was started\n")
    assert slipway("jobs", "list").err == "slipway: no jobs\n"


def test_events_are_dropped_in_the_background(slipway, jobs, harness, records):
    harness.say("ticket_rollback", "A", event_id="a")
    harness.say("ticket_rollback", "B", event_id="b")
    harness.wait(2 * HOUR)
    slipway(*["events", "parked", "drop", "a", "--background"], *WHY, "--yes")
    jobs.advance_all()
    assert [records.event(event, ticket).outcome for event, ticket in (("a", "A"), ("b", "B"))] == [
        "rejected",
        "parked",
    ]

    refused = slipway(
        *["events", "parked", "retry", "--operator", "acme", "--background"], *WHY, "--yes"
    )
    jobs.advance_all()
    assert refused.code == 0
    followed = slipway("jobs", "show", "2", "--follow")
    assert followed.code == 1
    assert "parked: waits_for_ticket (1)" in followed.out


@pytest.mark.usefixtures("dead")
def test_a_job_is_stopped_once(slipway, jobs):
    slipway(*["notices", "dead", "retry", "--operator", "acme", "--background"], *WHY, "--yes")
    jobs.advance(limit=1)

    stopped = slipway("jobs", "stop", "1", *WHY)
    again = slipway("jobs", "stop", "1", *WHY)
    missing = slipway("jobs", "stop", "7", *WHY)

    assert (stopped.code, stopped.out) == (0, "job 1 stopped after 1 of 3\n")
    assert (again.code, "ended already: stopped since" in again.err) == (1, True)
    assert (missing.code, missing.err) == (1, "slipway: there is no job 7\n")
    assert "stopped by anna: as agreed" in slipway("jobs", "show", "1").out
    assert slipway("jobs", "show", "1", "--follow").code == 1


def test_a_pace_without_a_job_is_refused(slipway):
    ended = slipway(*["notices", "dead", "retry", "1", "--pace", "5/s"], *WHY)

    assert (ended.code, "add --background" in ended.err) == (2, True)


def test_an_answer_that_is_too_long_is_named(slipway):
    ended = slipway(*["notices", "dead", "retry", "--background", "--answer"], "x" * 300, *WHY)

    assert (ended.code, "answer: " in ended.err) == (2, True)

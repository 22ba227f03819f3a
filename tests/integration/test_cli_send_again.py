"""`slipway notices send-again` and `slipway operators send-again`."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from models.jobs import JobState, advance_jobs, list_jobs
from tests.support.command_line import CommandLine
from tests.support.concurrent_connections import beside
from tests.support.gateway_app import harness_of_today
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records
from tests.support.wait import eventually

WHO = ("--by", "anna", "--why", "they restored a backup")
PARTNER = ("operators", "send-again", "acme", *WHO)


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    made.export(database_url=database, redis_url=redis_url)
    made.export(secret_key=Fernet.generate_key().decode())
    add = ("operators", "add", "acme", "--url", "http://127.0.0.1:9/", "--protocol", "pam")
    assert made(*add).code == 0
    return made


@pytest.fixture
def harness(slipway, engine) -> Harness:
    """Two tickets whose results acme took two hours ago."""
    now = harness_of_today(engine).now
    made = Harness(engine, ManualClock(now - timedelta(hours=2)))
    for ticket in ("A", "B"):
        made.say("ticket_win", ticket)
    made.deliver()
    return made


def advance_all(harness: Harness) -> bool:
    """Advance jobs as the sweep does; return whether all have ended."""
    with harness.engine.begin() as connection:
        advance_jobs(connection, now=harness.now + timedelta(hours=3), limit=100)
        return bool(list_jobs(connection)) and all(job.has_ended for job in list_jobs(connection))


def test_a_delivered_notice_is_sent_again(slipway, harness, records: Records):
    done = slipway("notices", "send-again", str(records.notices("A")[0].id), *WHO)

    assert done.code == 0
    assert done.out == ("ticket A of acme is sent again, in this order: ticket_win (number 1)\n")
    assert [row.repeat for row in records.notices("A")] == [0, 1]
    shown = slipway("ticket", "A").out
    assert "repeat 1 of number 1, asked for by anna" in " ".join(shown.split())
    assert "sent again from number 1" in " ".join(shown.split())


def test_where_something_is_unfinished_a_job_waits(slipway, harness, records: Records):
    harness.say("ticket_rollback", "A")
    done = slipway("notices", "send-again", str(records.notices("A")[0].id), *WHO, "--json")

    assert done.code == 0
    assert done.document()["sent_again"] is None
    assert done.document()["job"]["state"] == JobState.WAITING
    assert done.document()["job"]["who"] == "anna"
    assert len(records.notices("A")) == 2


def test_what_is_not_possible_says_why(slipway, harness):
    refused = slipway("notices", "send-again", "4711", *WHO)

    assert refused.code == 1
    assert "there is no notice 4711" in refused.err
    unknown = slipway("operators", "send-again", "nobody", *WHO, "--since", "3h", "--yes")
    assert (unknown.code, "nobody" in unknown.err) == (1, True)
    assert (
        "ends in the future"
        in slipway(*PARTNER, "--since", "3h", "--until", "2999-01-01T00:00Z", "--yes").err
    )


def test_a_reason_is_required(slipway, harness, records: Records):
    assert slipway("notices", "send-again", str(records.notices("A")[0].id)).code == 2


def test_a_dry_run_only_counts(slipway, harness, records: Records):
    counted = slipway(*PARTNER, "--since", "3h", "--dry-run", "--json")

    assert counted.code == 0
    assert (counted.document()["tickets"], counted.document()["exact"]) == (2, True)
    assert "2 tickets" in slipway(*PARTNER, "--since", "3h", "--dry-run").out
    assert (
        slipway(*PARTNER, "--since", "3h", "--until", "150m", "--dry-run", "--json").document()[
            "tickets"
        ]
        == 0
    )
    assert len(records.notices("A")) == 1


def test_it_asks_before_it_starts(slipway, harness, engine):
    refused = slipway(*PARTNER, "--since", "3h", "--no-wait")

    assert refused.code == 1
    assert "acme took notices of 2 tickets" in refused.err
    with engine.connect() as connection:
        assert list_jobs(connection) == []


def test_it_follows_the_job(slipway, harness, records: Records):
    arguments = (*PARTNER, "--since", "3h", "--until", "1h", "--pace", "50/s", "--yes")
    with beside(lambda: eventually(lambda: advance_all(harness))) as sweep:
        done = slipway(*arguments)
        sweep.result()

    assert done.code == 0
    assert "tickets sent again: 2" in done.out
    assert [row.repeat for row in records.notices("B")] == [0, 1]


def test_a_time_that_is_none_is_refused(slipway, harness):
    refused = slipway(*PARTNER, "--since", "yesterday")

    assert refused.code == 2
    assert "for a time before now, write 3h" in " ".join(refused.err.split())

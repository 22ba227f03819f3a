"""`slipway operators end`, and what every other command says of an operator that has ended."""

import pytest
from cryptography.fernet import Fernet

from models.jobs import JobState, advance_jobs, list_jobs
from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.concurrent_connections import beside
from tests.support.gateway_app import harness_of_today
from tests.support.harness import Harness
from tests.support.records import Records
from tests.support.wait import eventually

WHO = ("--by", "anna", "--why", "the contract has ended")
END = ("operators", "end", "acme", *WHO)


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
    """Three tickets of acme."""
    made = harness_of_today(engine)
    for number in range(3):
        made.say("ticket_win", f"T{number}")
    return made


@pytest.fixture
def ended(slipway: CommandLine, harness: Harness) -> CommandLine:
    assert slipway(*END, "--confirm", "acme", "--no-wait").code == 0
    return slipway


def advance(engine) -> bool:
    """Do one batch of a job, as the sweep does; return whether there was a job."""
    with engine.begin() as connection:
        return advance_jobs(connection, now=DatabaseClock().now(connection), limit=2) is not None


def test_it_says_what_ends_and_asks_for_the_code(slipway, harness):
    refused = slipway(*END, stdin=b"acmee\n")

    assert refused.code == 1
    assert "3 tickets not ended yet" in refused.err
    assert "3 tickets with notices to be sent, 0 dead notices" in refused.err
    assert "acmee is not acme" in refused.err
    assert harness.deliver() == [(f"T{number}", "ticket_win") for number in range(3)]


def test_without_anybody_to_ask_it_says_how_to_confirm(slipway, harness):
    refused = slipway(*END)

    assert (refused.code, "--confirm CODE" in refused.err) == (1, True)
    assert len(harness.claim()) == 3


def test_a_reason_is_required(slipway):
    assert slipway("operators", "end", "acme", "--confirm", "acme").code == 2


def test_its_job_ends_the_tickets_in_batches(ended, engine, harness):
    assert advance(engine)
    assert harness.end_tickets() == 0, "the sweep leaves it to the job"
    while advance(engine):
        pass

    records = Records(engine)
    assert {records.standing(ticket) for ticket in records.tickets()} == {"closed/won"}
    records.check()


def test_it_waits_until_all_has_ended(slipway, harness, engine):
    def swept() -> bool:
        advance(engine)
        with engine.begin() as connection:
            return [job.done for job in list_jobs(connection, states=[JobState.DONE])] == [3]

    with beside(lambda: eventually(swept)) as sweep:
        done = slipway(*END, "--confirm", "acme")
        assert sweep.result()

    assert (done.code, "3 tickets ended, and nothing is left" in done.out) == (0, True)


def test_calls_under_way_are_announced(slipway, harness):
    harness.claim(most=1)
    done = slipway(*END, "--confirm", "acme", "--no-wait")

    assert "1 notice being sent now" in done.err
    assert "slipway operators disable acme" in done.err
    assert "job 1 ends its tickets (3)" in done.out


REFUSED = {
    "end": END,
    "set": ("operators", "set", "acme", "--in-flight", "5"),
    "disable": ("operators", "disable", "acme"),
    "enable": ("operators", "enable", "acme"),
    "rotate-secret": ("operators", "rotate-secret", "acme"),
    "ping": ("operators", "ping", "acme"),
}


@pytest.mark.parametrize("command", REFUSED.values(), ids=REFUSED)
def test_nothing_of_it_can_be_changed(ended, command):
    refused = ended(*command)

    assert refused.code == 1
    assert "the partnership with operator 'acme' ended at 20" in refused.err
    assert "another code" in refused.err


def test_its_code_is_not_free_again(ended):
    add = ("operators", "add", "acme", "--url", "http://127.0.0.1:9/", "--protocol", "pam")
    refused = ended(*add)

    assert (refused.code, "exists already (ended at 20" in refused.err) == (1, True)


def test_a_file_cannot_declare_it_and_an_export_leaves_it_out(ended, tmp_path):
    file = tmp_path / "operators.yaml"
    exported = ended("operators", "export", "-f", str(file))
    assert (exported.code, "acme" in file.read_text()) == (0, False)
    assert ended("operators", "apply", "-f", str(file)).code == 0
    file.write_text("operators: [{code: acme, url: 'http://127.0.0.1:9/', protocol: pam}]")
    refused = ended("operators", "apply", "-f", str(file), "--dry-run")

    assert (refused.code, "take it out of the file" in refused.err) == (2, True)


def test_lists_show_it_as_ended_and_the_status_only_if_it_is_named(ended):
    assert "ended 20" in ended("operators", "list").out
    assert "ended" in ended("operators", "show", "acme").out
    assert "partnership ended" in ended("operators", "show", "acme").out
    assert "acme" not in ended("operators", "status").out
    assert "ended 20" in ended("operators", "status", "acme").out


def test_no_new_key_is_bound_to_it(ended):
    refused = ended("publishers", "add", "backend", "--operator", "acme")

    assert (refused.code, "has ended" in refused.err) == (2, True)


def test_its_tickets_say_why_nothing_happens_any_more(ended, engine):
    assert "the sweep is about to end the ticket" in ended("ticket", "T1").out
    while advance(engine):
        pass
    shown = ended("ticket", "T1").out

    assert "so nothing more is sent or applied" in shown
    assert "partner_ended" in shown

"""`--keep-bodies` of `slipway operators`, and what the command line shows of what was removed."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from models.outbox.values import Attempt, Delivered
from models.sweeps.bodies import remove_bodies
from tests.support.command_line import CommandLine
from tests.support.gateway_app import harness_of_today
from tests.support.harness import CLOSE_DELAY, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

WHO = ("--by", "anna", "--why", "their contract says so")
ADD = ("operators", "add", "acme", "--url", "http://127.0.0.1:9/", "--protocol", "pam")
OPERATORS = """
operators:
  - code: acme
    url: http://127.0.0.1:9/
    protocol: pam
    keep_bodies: 45d
"""


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    made.export(database_url=database, redis_url=redis_url)
    made.export(secret_key=Fernet.generate_key().decode())
    return made


@pytest.fixture
def emptied(slipway, engine, records: Records) -> int:
    """A ticket that closed 31 days ago; the number of its notice."""
    slipway(*ADD, "--keep-bodies", "30d")
    harness = Harness(engine, ManualClock(harness_of_today(engine).now - timedelta(days=32)))
    harness.say("ticket_win")
    harness.record_attempts(
        Attempt(harness.claim_one(), Delivered(), TOOK, http_status=200, answer="dear company")
    )
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.wait(timedelta(days=30, minutes=10))
    with engine.begin() as connection:
        assert remove_bodies(connection, now=harness.now, limit=10) == 1
    notice: int = records.notice(1).id
    return notice


def test_the_term_is_added_changed_shown_and_taken_back(slipway, tmp_path):
    def kept() -> object:
        return slipway("operators", "show", "acme", "--json").document()["operator"]["keep_bodies"]

    assert slipway(*ADD, "--keep-bodies", "30d").code == 0
    assert kept() == "30d"
    changed = slipway("operators", "set", "acme", "--keep-bodies", "60d", *WHO)
    assert (changed.code, changed.out) == (0, "keep-bodies: 30d -> 60d\n")
    file = tmp_path / "operators.yaml"
    file.write_text(OPERATORS)
    applied = slipway("operators", "apply", "-f", str(file), *WHO)
    assert applied.code == 0, applied.err
    assert kept() == "45d"
    assert "keep_bodies: 45d" in slipway("operators", "export").out
    assert slipway("operators", "set", "acme", "--keep-bodies", "default", *WHO).code == 0
    assert kept() is None
    refused = slipway("operators", "set", "acme", "--keep-bodies", "5m", *WHO)
    assert (refused.code, "keep bodies must be from 1h to 3660d" in refused.err) == (2, True)
    longer = slipway("operators", "set", "acme", "--keep-bodies", "200d", *WHO)
    assert "is not shorter than SLIPWAY_RETENTION" in longer.err


def test_what_was_removed_is_said_wherever_it_would_be_shown(slipway, emptied):
    ticket = " ".join(slipway("ticket", "T").out.split())
    attempt = slipway("notices", "attempt", str(emptied))
    document = slipway("notices", "attempt", str(emptied), "--json").document()
    command = slipway("notices", "attempt", str(emptied), "--curl")
    again = slipway("notices", "send-again", str(emptied), *WHO)

    assert "bodies and answers removed after 30d" in ticket
    assert attempt.out.count("(removed after 30d)") == 2  # the request's and the response's
    assert (document["contents_gone"], document["request"]["body"]) == ("removed after 30d", None)
    assert command.code == 1
    assert "there is no command: what was sent was removed after 30d" in command.err
    assert again.code == 1
    assert "its body was removed when the time was over" in again.err

"""`slipway players`: erase a player from the command line, and see how far that is."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.erasing import PLAYER, held, run_job
from tests.support.harness import CLOSE_DELAY, SLIP, Harness
from tests.support.manual_clock import ManualClock

HOUR = timedelta(hours=1)

ERASE = ("players", "erase", PLAYER, "--operator", "acme", "--by", "anna", "--why", "request 7")


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def past(engine: Engine) -> Harness:
    """An open and a closed ticket of the player; by its clock, the present is an hour ago."""
    with engine.connect() as connection:
        present = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(present - CLOSE_DELAY - HOUR))
    harness.add_operator()
    for ticket in ("T1", "T2"):
        harness.say("ticket_open", ticket, **{**SLIP, "player_id": PLAYER})
    harness.say("ticket_win", "T1")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    return harness


def test_a_dry_run_counts_and_changes_nothing(past, slipway, engine):
    before = held(engine)

    ended = slipway(*ERASE, "--dry-run")

    assert (ended.code, ended.out) == (0, "2 tickets name the player, 1 of them open\n")
    assert held(engine) == before


def test_an_erasure_is_begun_carried_on_and_reported(past, slipway, engine):
    begun = slipway(*ERASE, "--yes")
    assert begun.code == 0
    assert begun.out.startswith("erasure 1 has begun; job 1 carries it on in the sweep")
    assert "not covered: new tickets of the player" in begun.err
    past.wait(2 * HOUR)
    run_job(past)

    shown = slipway("players", "erasures", "show", "1")
    listed = slipway("players", "erasures", "list", "--json").document()["erasures"]
    known = slipway(
        "players", "erasures", "list", "--operator", "acme", "--player", PLAYER, "--json"
    )
    other = slipway("players", "erasures", "list", "--operator", "acme", "--player", "x", "--json")

    assert "T2         open    it has not ended  -" in shown.out
    assert [(each["id"], each["phase"], each["who"]) for each in listed] == [(1, "waiting", "anna")]
    assert known.document()["erasures"] == listed
    assert other.document() == {"erasures": []}
    assert PLAYER not in shown.out + shown.err
    assert "its player was erased at" in slipway("ticket", "T1").out


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (ERASE[:-2], 2, "Missing option '--why'"),
        ((*ERASE[:3], "--operator", "acm", *ERASE[5:], "--yes"), 2, "did you mean 'acme'"),
        (("players", "erase", "x" * 300, *ERASE[3:], "--yes"), 2, "has 1 to 255 characters"),
        (ERASE, 1, "pass --yes to skip the confirmation"),
        (("players", "erasures", "show", "9"), 1, "there is no erasure 9"),
        (("players", "erasures", "list", "--player", "x"), 2, "--player needs --operator"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(past, slipway, words, code, complaint):
    ended = slipway(*words)

    assert ended.code == code
    assert complaint in ended.err


def test_a_second_erasure_of_the_same_player_is_refused(past, slipway):
    slipway(*ERASE, "--yes")

    ended = slipway(*ERASE, "--yes")

    assert ended.code == 1
    assert "this player is being erased already: erasure 1, job 1" in ended.err

"""`slipway tickets hold`, `release` and `on-hold`, on a real database."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from models.outbox.values import Dead
from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.harness import CLOSE_DELAY, SLIP, Harness
from tests.support.manual_clock import ManualClock

LONG_AGO = timedelta(days=7)
OF_ACME = ("--operator", "acme")
VERA = ("--by", "vera", "--why", "the player disputes it")


@pytest.fixture
def harness(engine: Engine) -> Harness:
    """A harness that begins a week before the database's time, which commands go by."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    made = Harness(engine, ManualClock(now - LONG_AGO))
    made.add_operator()
    return made


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


def test_a_ticket_is_held_shown_and_released(slipway, harness):
    harness.say("ticket_win")
    held = slipway("tickets", "hold", "T", *OF_ACME, *VERA)
    assert held.code == 0
    assert "ticket T of acme (resulted/won) is on hold: nothing is sent" in held.out
    assert "notices that wait: 1" in held.out

    harness.wait(LONG_AGO)
    assert harness.claim() == []
    shown = slipway("ticket", "T").out
    assert ", by vera, because 'the player disputes it': until its release nothing" in shown
    assert "held the ticket" in shown
    assert "release since" in slipway("tickets", "list", *OF_ACME).out
    (listed,) = slipway("tickets", "on-hold", "--json").document()
    assert (listed["ticket_id"], listed["who"], listed["unfinished"]) == ("T", "vera", 1)
    assert "the player disputes it" in slipway("tickets", "on-hold", *OF_ACME).out

    released = slipway("tickets", "release", "T", *OF_ACME, "--by", "paul", "--why", "settled")
    assert released.code == 0
    assert "is released; it was on hold since" in released.out
    assert "ticket_win is sent next, from" in released.out
    assert "released the ticket" in slipway("ticket", "T").out
    assert "no tickets are on hold" in slipway("tickets", "on-hold").err


def test_what_follows_from_a_release_is_told(slipway, harness):
    harness.say("ticket_win", "closing")
    harness.deliver()
    harness.say("ticket_win", "dead")
    harness.deliver(Dead("410 Gone"))
    harness.say("ticket_win", "waiting")
    for ticket in ("closing", "dead", "waiting"):
        slipway("tickets", "hold", ticket, *OF_ACME, *VERA)
    harness.wait(CLOSE_DELAY)
    harness.disable()

    def released(ticket: str) -> str:
        return str(slipway("tickets", "release", ticket, *OF_ACME, *VERA).out)

    assert "it closes at" in released("closing")
    assert "its next notice, ticket_win, is dead: retry or skip it" in released("dead")
    assert "waits until the operator is enabled" in released("waiting")


def test_a_dead_notice_of_a_ticket_on_hold_says_that_nothing_is_sent(slipway, harness, records):
    harness.say("ticket_win")
    harness.deliver(Dead("410 Gone"))
    slipway("tickets", "hold", "T", *OF_ACME, *VERA)

    retried = slipway("notices", "dead", "retry", str(records.notice(1).id), *VERA)

    assert retried.code == 0
    assert "the ticket is on hold, so nothing is sent until its release" in retried.out
    assert "waits for the release of its ticket" in retried.out
    assert harness.claim() == []


def test_a_call_under_way_is_told(slipway, harness):
    harness.say("ticket_win")
    harness.wait(LONG_AGO)
    harness.claim_one()

    document = slipway("tickets", "hold", "T", *OF_ACME, *VERA, "--json").document()

    assert (document["in_flight"], document["unfinished"]) == ("ticket_win", 1)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("hold T --operator acme --why x", 1, "T of acme has been opened"),
        ("hold T --operator acne --why x", 1, "did you mean 'acme'"),
        ("hold new --operator acme --why x", 1, "publish a ticket_discard"),
        ("release open --operator acme --why x", 1, "ticket open of acme is not on hold"),
        ("on-hold --operator acne", 1, "did you mean 'acme'"),
        ("hold open --operator acme", 2, "--why"),
        ("hold open --why x", 2, "--operator"),
    ],
)
def test_what_is_not_possible_is_refused_with_a_sentence(slipway, harness, command, code, message):
    harness.say("ticket_create", "new", **SLIP)
    harness.say("ticket_open", "open")

    ended = slipway("tickets", *command.split())

    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err

"""`slipway tickets publish`, on a real database."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock

OF_ACME = ("--operator", "acme", "--by", "vera", "--why", "the publisher is down")


@pytest.fixture
def harness(engine: Engine) -> Harness:
    """A harness that begins an hour before the database's time, which commands go by."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    made = Harness(engine, ManualClock(now - timedelta(hours=1)))
    made.add_operator()
    return made


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


def test_a_result_is_published_shown_and_corrected(slipway, harness):
    harness.say("ticket_open")
    done = slipway(
        "tickets", "publish", "T", "ticket_win", *OF_ACME, "--fact", "net_payout=1234"
    )  # fmt: skip
    assert done.code == 0
    assert "ticket_win of ticket T of acme was applied" in done.out
    assert "ticket_win is sent to the partner" in done.out

    shown = slipway("ticket", "T").out
    assert "published ticket_win by hand" in shown
    assert "by vera" in shown
    assert "net payout 1234 (minor unit)" in shown

    document = slipway(
        "tickets", "publish", "T", "ticket_lost", *OF_ACME, "--correction", "--json"
    ).document()
    assert (document["outcome"], document["status_after"]) == ("applied", "resulted/lost")


def test_what_is_wrong_is_named_and_nothing_is_published(slipway, harness, records):
    harness.say("ticket_open")

    for wrong, message in (
        (("ticket_win", "--fact", "net_payout=12.5"), "data.net_payout: must be a whole number"),
        (("ticket_win", "--fact", "payout=1"), "write NAME=VALUE with one of price, stake"),
        (("ticket_open",), "ticket_open"),
    ):
        refused = slipway("tickets", "publish", "T", *wrong, *OF_ACME)
        assert (refused.code, message in refused.err) == (2, True), refused.err
    refused = slipway("tickets", "publish", "T", "ticket_void", *OF_ACME)
    assert refused.code == 1
    assert "ticket_void would be rejected" in refused.err
    assert "nothing was published" in refused.err
    assert len(records.events()) == 1

"""The command line: publishing a file, a ticket's history, what was rejected."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from redis import Redis

from models.events.event import Entry
from models.intake.apply import apply_entries
from tests.support.command_line import CommandLine
from tests.support.tombstones import leave_tombstone

WINDOW = timedelta(minutes=15)


@pytest.fixture
def slipway(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def at_home(slipway: CommandLine, database, redis_url) -> CommandLine:
    """The same, with servers."""
    key = Fernet.generate_key().decode()
    slipway.export(database_url=database, redis_url=redis_url, secret_key=key)
    slipway.export(partner_networks="127.0.0.0/8")
    return slipway


@pytest.fixture
def with_acme(at_home: CommandLine) -> CommandLine:
    url = ("--url", "http://127.0.0.1:9/")
    added = at_home("operators", "add", "acme", *url, "--protocol", "pam")
    assert added.code == 0, added.err
    return at_home


def events(*actions: str) -> bytes:
    lines = [
        {"event_id": f"e-{n}", "action": action, "data": {"operator": "acme", "ticket_id": "T-1"}}
        for n, action in enumerate(actions)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_publish_puts_a_file_on_the_stream_in_its_order(at_home, redis, tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_bytes(events("ticket_open", "ticket_win") + b"\n")

    published = at_home("publish", str(file), "--json")

    assert published.document() == {"published": 2, "bad_lines": []}
    assert on_stream(redis) == ["ticket_open", "ticket_win"]


def test_publish_stops_at_a_bad_line_and_says_where(at_home, redis):
    lines = events("ticket_open") + b"{\n" + events("ticket_win")

    stopped = at_home("publish", "-", stdin=lines)

    assert stopped.code == 1
    assert "line 2: not JSON" in stopped.err
    assert "fix it and publish from there (--from-line 2)" in stopped.err
    assert on_stream(redis) == ["ticket_open"]


def test_publish_can_keep_going_past_bad_lines(at_home, redis):
    bad = b'[1]\n{"action": "ticket_win"}\n\xff\n' + b'{"a":' * 100_000 + b"\n"
    lines = events("ticket_open") + bad + events("ticket_win")

    ended = at_home("publish", "-", "--keep-going", "--json", stdin=lines)

    assert ended.code == 1
    assert [line["line"] for line in ended.document()["bad_lines"]] == [2, 3, 4, 5]
    assert on_stream(redis) == ["ticket_open", "ticket_win"]


def test_publish_tells_from_which_line_to_go_on_when_redis_is_unavailable(at_home):
    at_home.export(redis_url="redis://127.0.0.1:1/0")

    ended = at_home("publish", "-", stdin=b"\n" + events("ticket_open"))

    assert ended.code == 1
    assert "On the stream: 0 events" in ended.err
    assert "publish again from line 2 (--from-line 2)" in ended.err


def on_stream(redis: Redis) -> list[str]:
    entries: Any = redis.xrange("ticket-events")
    return [json.loads(fields[b"event"])["action"] for _, fields in entries]


def live(engine, clock, *raw: bytes) -> None:
    entries = [
        Entry(f"{1_763_632_800_000 + n}-0", {b"event": event}) for n, event in enumerate(raw)
    ]
    apply_entries(engine.begin, entries, clock=clock, parking_window=WINDOW)


def test_a_ticket_tells_its_history(with_acme, engine, clock):
    live(engine, clock, *events("ticket_open", "ticket_win").splitlines())

    shown = with_acme("ticket", "T-1")
    (document,) = with_acme("ticket", "T-1", "--operator", "acme", "--json").document()

    assert shown.code == 0
    assert shown.out.startswith(
        "Ticket T-1 of acme: resulted (won); the partner has not accepted ticket_win yet"
    )
    assert "applied (open to resulted/won)" in shown.out
    assert document["sentence"].startswith("resulted (won)")
    assert [event["action"] for event in document["events"]] == ["ticket_open", "ticket_win"]


def test_an_unknown_ticket_is_exit_code_1(at_home):
    ended = at_home("ticket", "T-2")

    assert ended.code == 1
    assert "no ticket T-2 is known" in ended.err


def test_of_a_removed_ticket_it_says_when_it_ended(with_acme, engine):
    why = leave_tombstone(engine, "acme", "T-1")
    ended = with_acme("ticket", "T-1")

    assert ended.code == 1
    assert why in " ".join(ended.err.split())


def test_rejected_events_are_listed_with_their_reasons(with_acme, engine, clock):
    live(engine, clock, b"{\x1b[31m", *events("ticket_open", "ticket_paid").splitlines())

    everything = with_acme("events", "rejected", "list")
    of_acme = with_acme("events", "rejected", "list", "--operator", "acme", "--json").document()

    assert "not_json" in everything.out
    assert "\x1b" not in everything.out
    assert [(event["ticket_id"], event["reason"]) for event in of_acme] == [("T-1", "not_reserved")]

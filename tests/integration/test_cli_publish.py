"""`slipway publish`: checking, rate, going on after a break, and what became of the events."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from codecs import BOM_UTF8
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from models.events.event import Entry
from models.intake.apply import apply_entries
from tests.support.cloud_events import cloud_event
from tests.support.command_line import CommandLine
from tests.support.fork_server import Popen
from tests.support.sources import ROOT
from tests.support.wait import eventually

SLIPWAY = (sys.executable, "-c", "from worker.cli import main; main()")
WINDOW = timedelta(minutes=15)


def line(event_id: str, action: str = "ticket_win", operator: str = "acme", **more: object) -> str:
    data = {"operator": operator, "ticket_id": "T-1"}
    return json.dumps({"event_id": event_id, "action": action, "data": data, **more}) + "\n"


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    key = Fernet.generate_key().decode()
    made.export(database_url=database, redis_url=redis_url, secret_key=key)
    return made


def ids(redis) -> list[str]:
    return [json.loads(fields[b"event"])["event_id"] for _, fields in redis.xrange("ticket-events")]


def test_check_tells_what_the_intake_would_refuse_and_publishes_nothing(slipway, redis):
    slipway.export(redis_url="redis://127.0.0.1:1/0")  # neither server is asked
    lines = line("1") + line("2", "ticket_lose") + "{\n" + line("with space")

    checked = slipway("publish", "-", "--check", "--json", stdin=lines.encode())

    assert checked.code == 1
    assert checked.document()["checked"] == 4
    bad = checked.document()["bad_lines"]
    assert [bad_line["line"] for bad_line in bad] == [2, 3, 4]
    assert "did you mean ticket_lost?" in bad[0]["problem"]
    assert redis.xlen("ticket-events") == 0


def test_check_sees_what_a_channel_would_refuse(slipway):
    long_ago = line("3", occurred_at="2015-03-02T08:27:58Z")
    twice = line("4").replace('"operator"', '"net_payout": 1, "net_payout": 2, "operator"')
    lines = line("1", eventId="1") + line("2", occurred_at="2026-11-20T10:15") + long_ago + twice

    checked = slipway("publish", "-", "--check", "--json", stdin=lines.encode())

    named, timed, old, doubled = [
        bad_line["problem"] for bad_line in checked.document()["bad_lines"]
    ]
    assert named == "eventId: is not known here; did you mean event_id?"
    assert "this one has no offset" in timed
    assert "is more than 30d, less a margin of 60 s, ago (SLIPWAY_EVENT_AGE_MAX)" in old
    assert doubled == "data.net_payout: appears twice in one object; send it once"


@pytest.mark.parametrize("check", [["--check"], []])
def test_a_byte_order_mark_at_the_head_of_a_file_is_dropped(slipway, redis, check):
    marked = BOM_UTF8 + (line("1") + line("2").strip()).encode()

    done = slipway("publish", "-", *check, stdin=marked)

    assert done.code == 0, done.err
    assert ids(redis) == ([] if check else ["1", "2"])


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [
        (line("1").encode("utf-16"), "it is UTF-16 or UTF-32"),
        (line("1").encode("utf-16-le"), "it holds NUL bytes"),
        ((line("1") + line("2")).replace("\n", "\r").encode(), "its lines end with CR alone"),
        (b"\xed\xa0\x80".join(line("1-2").encode().split(b"-", 1)), "not UTF-8"),
        (line("1").encode().strip() + b"\x00", "it holds NUL bytes"),
    ],
)
@pytest.mark.parametrize("check", [["--check"], []])
def test_a_file_in_another_form_is_named(slipway, redis, check, stdin, problem):
    done = slipway("publish", "-", *check, stdin=stdin)

    assert done.code == 1
    assert problem in done.err.partition("\n")[0]
    assert ids(redis) == []


def test_ids_that_only_look_the_same_are_refused_by_check(slipway):
    checked = slipway("publish", "-", "--check", stdin=line("Jose\u0301").encode())

    assert checked.code == 1
    assert "event_id: must be in Unicode's form NFC: 'Jos\\xe9'" in checked.err


def test_cloud_events_are_checked_and_published_like_other_lines(slipway, redis):
    fine = json.dumps(cloud_event(id="1")) + "\n"
    old = json.dumps(cloud_event(time="2015-03-02T08:27:58Z")) + "\n"
    wrong = json.dumps(cloud_event(source=...)) + "\n"
    mixed = (fine + old + wrong + line("2")).encode()

    checked = slipway("publish", "-", "--check", "--json", stdin=mixed)
    published = slipway("publish", "-", "--keep-going", stdin=(fine + wrong + line("2")).encode())

    too_old, lacking = [bad["problem"] for bad in checked.document()["bad_lines"]]
    assert too_old.startswith("time 2015-03-02T08:27:58Z is more than 30d")
    assert lacking == "source: is missing"
    assert "line 2: source: is missing" in published.err
    first, second = [json.loads(fields[b"event"]) for _, fields in redis.xrange("ticket-events")]
    assert (first["specversion"], first["id"], second["event_id"]) == ("1.0", "1", "2")
    assert first["time"].endswith("Z")  # fixed before the first try


def test_check_goes_by_the_age_that_is_set(slipway):
    slipway.export(event_age_max="36500d")
    long_ago = line("1", occurred_at="2015-03-02T08:27:58Z")

    assert slipway("publish", "-", "--check", stdin=long_ago.encode()).code == 0


@pytest.mark.parametrize(
    "bad",
    [
        line("2", eventId="1"),
        line("2").replace('"operator"', '"net_payout": 1, "net_payout": 2, "operator"'),
    ],
)
def test_a_line_that_would_lose_a_word_is_not_published(slipway, redis, bad):
    published = slipway("publish", "-", stdin=(line("1") + bad + line("3")).encode())

    assert published.code == 1
    assert "line 2" in published.err
    assert ids(redis) == ["1"]


def test_a_file_that_is_well_is_exit_code_0(slipway):
    checked = slipway("publish", "-", "--check", stdin=line("1").encode())

    assert checked.code == 0
    assert checked.out == "checked 1 lines; 0 of them would be refused\n"


def test_a_stream_that_takes_nothing_is_named_with_the_way_to_repair_it(slipway, redis):
    redis.set("ticket-events", "x")

    ended = slipway("publish", "-", stdin=(line("1") + line("2")).encode())

    assert ended.code == 2
    assert "WRONGTYPE" in ended.err
    assert "run `slipway doctor`" in ended.err
    assert "On the stream: 0 events" in ended.err


def test_publishing_goes_on_from_a_line(slipway, redis):
    lines = line("1") + "{\n" + "\n" + line("2") + line("3")

    gone_on = slipway("publish", "-", "--from-line", "4", "--json", stdin=lines.encode())

    assert gone_on.document() == {"published": 2, "bad_lines": []}
    assert ids(redis) == ["2", "3"]


def test_an_interrupted_run_says_where_to_go_on(slipway, redis):
    """Ctrl-C, in a process of its own; `slipway` has set its environment."""
    lines = "".join(line(str(number)) for number in range(60))
    with Popen[bytes](
        [*SLIPWAY, "publish", "-", "--rate", "1/s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(lines.encode())
        process.stdin.flush()
        eventually(lambda: redis.xlen("ticket-events") > 0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    published = redis.xlen("ticket-events")
    assert process.returncode == 1
    advice = re.search(r"publish again from line (\d+) \(--from-line \1\)", errors.decode())
    assert advice is not None
    # An event whose acknowledgement was still to come is on the stream, and published again.
    assert int(advice[1]) in (published, published + 1)


def test_a_rate_is_kept(slipway, redis):
    lines = "".join(line(str(number)) for number in range(20))
    began = time.monotonic()

    published = slipway("publish", "-", "--rate", "50/s", "--json", stdin=lines.encode())

    assert published.document()["published"] == 20
    assert 0.4 <= time.monotonic() - began < 20, "at one a second it would take that long"


def test_waiting_ends_with_a_summary_by_outcome(slipway, engine, redis, clock):
    """A known id is a duplicate, the same under another id confirms, a stranger's is refused."""
    url = ("--url", "https://192.0.2.1/", "--protocol", "pam")
    assert slipway("operators", "add", "acme", *url).code == 0
    then = {"occurred_at": "2026-01-01T00:00:00Z"}
    lines = line("1", **then) + line("1", **then) + line("2", **then) + line("3", operator="nobody")
    again = cloud_event(id="1", subject="T-1", data={"operator": "acme"}, time=then["occurred_at"])
    lines += json.dumps(again)
    intake = threading.Thread(target=apply_all, args=(engine, redis, clock, 5))
    intake.start()

    ended = slipway("publish", "-", "--wait", "10s", "--json", stdin=lines.encode())
    intake.join()

    assert ended.code == 0, ended.err
    assert ended.document() == {
        "published": 5,
        "bad_lines": [],
        "outcomes": {"applied": 1, "confirmed": 1, "duplicate": 2, "rejected": 1},
    }


def test_what_nobody_applies_is_told_when_the_patience_is_over(slipway, redis):
    ended = slipway("publish", "-", "--wait", "1s", "--json", stdin=line("1").encode())

    assert ended.code == 1
    assert ended.document()["outcomes"] == {"unapplied": 1}
    assert "is an intake running?" in ended.err


def apply_all(engine, redis, clock, number: int) -> None:
    """Be the intake for *number* entries: apply them, then take them off the stream."""
    eventually(lambda: redis.xlen("ticket-events") == number)
    entries = [Entry(id_.decode(), fields) for id_, fields in redis.xrange("ticket-events")]
    apply_entries(engine.begin, entries, clock=clock, parking_window=WINDOW)
    redis.xdel("ticket-events", *[entry.id for entry in entries])

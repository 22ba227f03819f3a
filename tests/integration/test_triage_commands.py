"""Triage on the command line: what it announces and reports, when it asks, how it ends."""

import re
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from models.outbox.values import Dead
from models.platform.clock import DatabaseClock
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.usefixtures("records")
SECOND = timedelta(seconds=1)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
WHY = ("--why", "as agreed", "--by", "anna")
GROUPS = ("events parked", "events rejected", "events superseded", "notices dead")


@pytest.fixture
def past_harness(engine: Engine) -> Harness:
    """A harness whose time is an hour before the database's, which commands go by."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - timedelta(hours=1)))
    harness.add_operator()
    return harness


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def trouble(past_harness: Harness) -> Harness:
    """A refused win; a rollback from a slow clock, a parked loss, a refused payment."""
    past_harness.say("ticket_win", event_id="win")
    past_harness.deliver(Dead("410 Gone"))
    past_harness.wait(3 * SECOND)
    past_harness.say("ticket_rollback", event_id="back", at=past_harness.now - 5 * SECOND)
    past_harness.say("ticket_win", event_id="same", at=past_harness.now - 5 * SECOND)
    past_harness.say("ticket_lost", event_id="lost")
    past_harness.say("ticket_paid", event_id="paid")
    past_harness.publish(past_harness.raw(b'{"ticket\x1b[31m'))
    past_harness.say("ticket_win", event_id="early", operator="betsy")
    return past_harness


@pytest.mark.parametrize("group", GROUPS)
def test_every_way_out_explains_itself(slipway, group):
    last = "skip" if group == "notices dead" else "drop"
    for command in ("list", "show", "retry", last):
        page = slipway(*group.split(), command, "--help")
        assert (page.code, "Example: slipway" in page.out) == (0, True)


@pytest.mark.usefixtures("trouble")
def test_lists_show_what_waits_for_what_and_what_is_harmless(slipway):
    parked = slipway("events", "parked", "list").out
    older = slipway("events", "superseded", "list").out
    rejected = slipway("events", "rejected", "list", "--json").document()
    dead = slipway("notices", "dead", "list").out

    assert "waits_for_rollback" in parked
    assert "waits until" in parked
    assert [line.split()[3] for line in older.splitlines() if "harmless" in line] == ["same"]
    assert {event["reason"] for event in rejected} == {
        "unknown_operator",
        "not_json",
        "not_reserved",
    }
    assert "410 Gone" in dead
    assert "no parked events" in slipway("events", "parked", "list", "--reason", "none").err


@pytest.mark.usefixtures("trouble")
def test_a_page_shows_all_there_is_and_steers_no_terminal(slipway):
    listed = slipway("events", "rejected", "list", "--json").document()
    entry = next(event["id"] for event in listed if event["reason"] == "not_json")

    event = slipway("events", "superseded", "show", "back")
    raw = slipway("events", "rejected", "show", entry)
    document = slipway("events", "superseded", "show", "back", "--json").document()
    notice = slipway("notices", "dead", "show", "1")

    assert '"ticket_id": "T"' in event.out
    assert (raw.code, "\x1b" in raw.out, '{"ticket\ufffd[31m' in raw.out) == (0, False, True)
    assert (document["outcome"], document["status_before"]) == ("superseded", "resulted/won")
    assert "key" not in document
    assert '{"action":"ticket_win"' in notice.out
    assert "resolutions: retry; skip --delivered" in notice.out


@pytest.mark.usefixtures("trouble")
def test_input_that_was_kept_raw_is_shown_by_the_id_its_event_was_to_have(slipway, trouble):
    """The entry is known; so is what it holds. An id that was used before names two: one is raw."""
    trouble.say("ticket_lost", "U", event_id="again")
    trouble.say("ticket_void", "U", event_id="again")
    early = slipway("events", "rejected", "show", "early")
    reused = slipway("events", "rejected", "show", "again", "--json").document()
    trouble.say("ticket_refund", "U", event_id="again")
    many = slipway("events", "rejected", "show", "again")
    dropped = slipway("events", "rejected", "drop", "early", *WHY)

    assert (early.code, '"operator":"betsy"' in early.out.replace(" ", "")) == (0, True)
    assert (reused["reason"], "ticket_void" in reused["raw"]) == ("event_id_reused", True)
    assert (many.code, many.err.count("raw input of entry")) == (2, 2)
    assert (dropped.code, "will leave the list" in dropped.out) == (0, True)


@pytest.mark.usefixtures("trouble")
def test_whether_a_retry_can_help_is_tried_and_taken_back(slipway, trouble, records):
    """`yes` was said of all that could be read, and of nothing whether it would fail again."""
    trouble.say("ticket_lost", "U", event_id="again")
    trouble.say("ticket_void", "U", event_id="again")
    listed = slipway("events", "rejected", "list", "--json").document()
    entry = next(event["id"] for event in listed if event["reason"] == "not_json")

    def prospect(outcome: str, which: str) -> str:
        screen = slipway("events", outcome, "show", which).out
        document = slipway("events", outcome, "show", which, "--json").document()
        (line,) = [fact for fact in screen.splitlines() if fact.startswith("can be retried:")]
        assert line.partition(":")[2].strip() == document["can_be_retried"]
        return str(document["can_be_retried"])

    before = records.standing()
    assert prospect("rejected", entry).startswith(
        f"no: entry {entry} still cannot be read: not JSON"
    )
    assert prospect("rejected", "early").startswith("only after `slipway operators add`: ")
    assert "is still refused: event_id 'again' was used on" in prospect("rejected", "again")
    assert prospect("rejected", "paid").startswith("no: it would be rejected again (not_reserved)")
    assert prospect("superseded", "back").startswith("no: it would be superseded again")
    assert "--as-now" in prospect("superseded", "back")
    assert prospect("parked", "lost").startswith("not yet: it would be still parked until 2")
    trouble.add_operator("betsy")
    assert prospect("rejected", "early").startswith("yes: it would be applied")
    assert (records.standing(), records.event("paid").outcome) == (before, "rejected")


@pytest.mark.usefixtures("trouble")
def test_a_retry_says_what_will_happen_and_what_did(slipway, records):
    again = slipway("events", "superseded", "retry", "back")
    through = slipway("events", "superseded", "retry", "back", "--as-now", *WHY, "--json")

    assert (again.code, "(--as-now) gives it the current time" in again.out) == (1, True)
    assert "1 did not get through" in again.err
    assert through.code == 0
    assert through.err.splitlines()[0].startswith(
        "ticket_rollback back of ticket T of acme (superseded, older_rollback) will be processed "
        "again, as if it happened now: it will be applied (resulted/won to open); "
        "the partner will be sent ticket_rollback"
    )
    assert [event["outcome"] for event in through.document()["done"]] == ["applied", "superseded"]
    assert records.standing() == "open/pending"


def test_an_id_that_means_several_has_to_be_narrowed(slipway, past_harness):
    past_harness.add_operator("betsy")
    for operator in ("acme", "betsy"):
        past_harness.say("ticket_rollback", operator=operator, event_id="7")
    several = slipway("events", "parked", "drop", "7", *WHY)
    narrowed = slipway("events", "parked", "drop", "7", "--operator", "betsy", *WHY)

    assert several.code == 2
    assert "ticket_rollback of ticket T of acme" in several.err
    assert "narrow it with --operator or --ticket" in several.err
    assert (narrowed.code, "never applied" in narrowed.out) == (0, True)


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("events parked show win", 1, "event win is not parked but applied (ticket_win of ticket"),
        ("events parked show x", 1, "no event x is known"),
        (
            "events parked show paid",
            1,
            "but rejected (ticket_paid of ticket T of acme): `slipway ev",
        ),
        ("events parked show early", 1, "raw input names it: `slipway events rejected show early`"),
        ("events parked retry", 2, "select what to change: ids, or all of an --operator"),
        ("events parked drop lost", 2, "--why"),
        ("events rejected drop paid --why=", 2, "give a reason"),
        ("events rejected retry paid --since 1h", 2, "cannot be combined with ids"),
        ("notices dead show 99", 1, "there is no notice 99"),
        ("notices dead skip 1", 2, "--why"),
        ("notices dead skip 1 --why x --delivered --not-delivered", 2, "exclude each other"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_an_exit_code(slipway, command, code, message):
    ended = slipway(*command.split())

    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.usefixtures("trouble")
def test_before_many_are_changed_somebody_is_asked(slipway, records):
    many = ("events", "superseded", "drop", "--operator", "acme", *WHY)
    unanswered = slipway(*many)
    refused = slipway(*many, stdin=b"n\n")
    agreed = slipway(*many, stdin=b"y\n")

    assert (unanswered.code, "pass --yes" in unanswered.err) == (1, True)
    assert (refused.code, "nothing was changed" in refused.err) == (1, True)
    assert "2 superseded events (1 ticket_rollback, 1 ticket_win) will leave the list" in agreed.err
    assert (agreed.code, agreed.out) == (0, "dropped 2\n")
    assert records.event("back").dropped_at is not None


def test_one_failure_among_many_does_not_undo_the_others(slipway, trouble, records):
    trouble.add_operator("betsy")
    ended = slipway("events", "rejected", "retry", "--since", "2h", "--yes", "--json")

    document = ended.document()
    assert ended.code == 1
    assert {event["event_id"]: event["outcome"] for event in document["done"]} == {
        "early": "applied",
        "paid": "rejected",
    }
    assert ["still cannot be read" in failure["problem"] for failure in document["failed"]] == [
        True
    ]
    assert "1 could not be done; 1 did not get through" in ended.err
    assert records.standing(operator="betsy") == "resulted/won"


@pytest.mark.usefixtures("trouble")
def test_of_many_the_oldest_are_taken_up_first(slipway, records):
    ended = slipway("events", "superseded", "drop", "--since", "2h", "--limit", "1", "--yes", *WHY)

    assert "the oldest: 1 superseded event (1 ticket_rollback)" in ended.err
    assert (ended.out, records.event("same").dropped_at) == ("dropped 1\n", None)


@pytest.mark.usefixtures("trouble")
def test_a_skip_says_what_the_partner_will_never_be_told(slipway, records):
    slipway("events", "superseded", "retry", "back", "--as-now")
    skipped = slipway("notices", "dead", "skip", "1", "--not-delivered", *WHY)

    assert skipped.code == 0
    assert skipped.out == (
        "the partner will never be sent ticket_win of generation 1 of ticket T of acme; its"
        " rollback is withdrawn too; no close delay starts; nothing waits behind it\n"
        "ticket_win of ticket T of acme is skipped\n"
    )
    assert [row.ended for row in records.notices()] == ["skipped", "withdrawn"]
    assert "is not dead (skipped)" in slipway("notices", "dead", "retry", "1").err


@pytest.mark.usefixtures("trouble")
def test_every_screen_shows_times_in_one_form(slipway):
    """RFC 3339 in UTC, on the screen and in JSON."""
    slipway("events", "superseded", "retry", "back", "--as-now", *WHY)
    slipway("operators", "disable", "acme", *WHY)
    commands = ["ticket T", "notices dead show 1", "events rejected show paid"]
    commands += [f"{group} list" for group in GROUPS]
    commands += [f"operators {what}" for what in ("list", "status", "show acme")]
    read = [slipway(*command.split(), *more) for command in commands for more in ((), ("--json",))]

    shown = [time for output in read for time in re.findall(r"\d{4}-\d\d-\d\d.{0,17}", output.out)]
    days = sum(len(re.findall(r"\d\d:\d\d:\d\d", output.out)) for output in read)
    assert [output.code for output in read] == [0] * len(read)
    assert [time for time in shown if not TIME.match(time)] == []
    assert len(shown) == days > 30


@pytest.mark.parametrize("which", [("1",), ("--reason", "gone"), ("--reason", "gone", "--yes")])
@pytest.mark.parametrize("answer", [b"", b"\n", b"y\n", b"perhaps\n"])
@pytest.mark.usefixtures("trouble")
def test_nothing_is_skipped_without_one_of_the_two_words(slipway, records, which, answer):
    """Rule 18: a person may be wrong, so nothing is taken for granted."""
    slipway("events", "superseded", "retry", "back", "--as-now")
    wordless = slipway("notices", "dead", "skip", *which, *WHY, stdin=answer)

    assert (wordless.code, wordless.out) == (2, "")
    assert "--delivered: " in wordless.err
    assert (
        "; next comes " in wordless.err or "; sent next: " in wordless.err
    )  # the rollback, if the partner has the win
    assert "is never sent" in wordless.err or "will never be sent" in wordless.err
    assert "withdrawn" in wordless.err
    assert "a skip needs --delivered (the partner has it)" in wordless.err
    assert [row.ended for row in records.notices()] == ["dead", None]


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("which", [("1",), ("--reason", "gone")])
@pytest.mark.parametrize(
    ("answer", "ended", "clock"),
    [(b"delivered\n", "delivered", True), (b"--not-delivered\n", "skipped", False)],
)
def test_the_word_that_was_not_given_is_asked_for(slipway, records, which, answer, ended, clock):
    skipped = slipway("notices", "dead", "skip", *which, *WHY, stdin=answer)

    assert (skipped.code, records.notice(1).ended) == (0, ended)
    assert (records.ticket().close_due_at is not None) is clock
    assert ("410 Gone" in skipped.err) is (which == ("1",))  # what the partner said before


@pytest.mark.usefixtures("trouble")
def test_on_a_terminal_a_skip_is_confirmed_after_it_is_shown(slipway, records):
    word = ("notices", "dead", "skip", "1", "--delivered", *WHY)
    refused = slipway(*word, stdin=b"\n", terminal=True)
    before = records.notice(1).ended
    agreed = slipway(*word, stdin=b"y\n", terminal=True)

    assert (refused.code, before) == (1, "dead")
    assert "its close delay of 24h starts, so the ticket closes at" in refused.out
    assert "not confirmed, so it is unchanged" in refused.err
    assert (agreed.code, records.notice(1).ended) == (0, "delivered")


def test_a_rollback_is_said_to_be_no_skip_before_a_word_is_asked_for(
    slipway, past_harness, records
):
    past_harness.publish(
        *(past_harness.event(f"ticket_{word}") for word in ("win", "rollback", "lost"))
    )
    past_harness.deliver()
    past_harness.deliver(Dead("410 Gone"))
    ended = slipway("notices", "dead", "skip", str(records.notice(2).id), *WHY)

    assert ended.code == 2
    assert "--not-delivered: not possible: a rollback is never skipped" in ended.err
    assert "next comes ticket_lost of generation 2" in ended.err
    assert records.notice(2).ended == "dead"


@pytest.mark.usefixtures("trouble")
def test_dead_notices_are_retried_by_the_reason_they_have_in_common(slipway, records):
    ended = slipway("notices", "dead", "retry", "--reason", "gone", "--yes", "--json")

    assert (ended.code, [notice["action"] for notice in ended.document()["done"]]) == (
        0,
        ["ticket_win"],
    )
    assert "1 dead notice (1 ticket_win) will be sent again" in ended.err
    assert records.notice(1).ended is None

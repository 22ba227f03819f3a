"""A thousand things that must not be sent or written: nothing stops, each has its reason stored.

On the stream, on the queue `tickets`, on Celery's own lists and in the database's JSON columns, all
of it before and among good events, through the real processes.
"""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.faults.malformed_run import (
    QUEUES,
    QUIET_ROUNDS,
    TICKETS,
    WORKERS,
    MalformedRun,
    malformed_run_on,
)
from tests.faults.poison import STREAM as STREAM_KINDS
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from worker.local.servers import Servers
from worker.process.queues import DEAD_LETTERS

pytestmark = pytest.mark.slow

CELERY = "CELERY"
TOLD = ["ticket_win", "ticket_rollback", "ticket_lost"]
REJECTED = text("SELECT entry_id, raw, kind, reason, message FROM rejected_input")
STANDING = text("SELECT ticket_id, status || '/' || result AS standing FROM ticket")
PARKED_ENDS = text("""
    SELECT t.ticket_id, e.event_id, e.outcome, e.reason, e.message
      FROM ticket_event e JOIN ticket t ON t.id = e.ticket WHERE e.action = 'ticket_lost'""")
NOTICE_ENDS = text("""
    SELECT t.ticket_id, n.ended, n.reason FROM notice n JOIN ticket t ON t.id = n.ticket
     WHERE n.action = 'ticket_win'""")


@pytest.fixture(scope="module")
def run(servers: Servers, template: str) -> Iterator[MalformedRun]:
    """Everything malformed was sent, good events among it, and the processes have ended."""
    with malformed_run_on(servers, template) as run:
        yield run


def test_there_were_a_thousand(run):
    assert run.malformed >= 1_000
    assert len(STREAM_KINDS) >= 30


def test_no_process_ended_before_it_was_told_to(run):
    assert run.codes == dict.fromkeys(WORKERS, 0)


def test_good_events_among_poison_are_applied_and_told_in_order(run):
    taken = run.taken()
    standing = dict(run.rows(STANDING))

    good = [f"good-{ticket}" for ticket in range(TICKETS)]
    assert {name: taken[name] for name in good} == dict.fromkeys(good, TOLD)
    assert {standing[name] for name in good} == {"resulted/lost"}


def test_tickets_close_although_damaged_rows_are_due_too(run):
    taken = run.taken()

    prompt = [f"prompt-{ticket}" for ticket in range(TICKETS)]
    assert [taken[name] for name in prompt] == [["ticket_win", "ticket_closed"]] * TICKETS


def test_what_was_on_the_stream_is_kept_with_its_reason(run):
    kept = {row.entry_id: row for row in run.rows(REJECTED)}

    reasons = {id_: (bad.kind, kept[id_].reason) for id_, bad in run.on_stream.items()}
    assert reasons == {id_: (bad.kind, bad.reason) for id_, bad in run.on_stream.items()}
    assert all(row.message for row in kept.values())
    assert len(kept) == len(run.on_stream) + len(run.at_queue)


def test_what_came_to_the_queue_is_kept_with_its_reason(run):
    kept = Counter((row.raw, row.reason) for row in run.rows(REJECTED) if row.kind == CELERY)

    assert kept == Counter((bad.fields[b"event"], bad.reason) for bad in run.at_queue)


def test_what_was_in_celery_s_lists_is_dead_lettered_with_its_reason(run):
    letters = [json.loads(letter) for letter in run.redis.lrange(DEAD_LETTERS, 0, -1)]

    assert Counter(_begun(letter["message"]) for letter in letters) == Counter(
        _begun(message.decode("utf-8", "backslashreplace")) for message in run.in_lists
    )
    assert all(letter["reason"] and letter["queue"] in QUEUES for letter in letters)
    assert not any(run.redis.llen(queue) > 1 for queue in QUEUES)  # a wakeup may wait
    assert run.redis.hlen("unacked") == 0


def _begun(message: str) -> str:
    return message[:60_000]


def test_a_damaged_event_ends_as_rejected_and_its_ticket_goes_on(run):
    ends = {row.ticket_id: (row.outcome, row.reason) for row in run.rows(PARKED_ENDS)}
    standing = dict(run.rows(STANDING))

    parked = run.damaged.parked
    assert {name: ends[name] for name in parked} == dict.fromkeys(parked, ("rejected", "poison"))
    assert {standing[name] for name in parked} == {"open/pending"}


def test_a_ticket_whose_facts_are_damaged_goes_on(run):
    standing = dict(run.rows(STANDING))
    taken = run.taken()

    for name in run.damaged.facts:
        assert standing[name] == "open/pending"
        assert taken[name] == ["ticket_win", "ticket_rollback"]


def test_a_notice_whose_text_is_damaged_is_dead_with_the_partner_s_answer(run):
    ends = {row.ticket_id: (row.ended, row.reason) for row in run.rows(NOTICE_ENDS)}

    for name in run.damaged.bodies:
        assert ends[name] == ("dead", "answered 400")


def test_nobody_says_more_than_there_is_to_say(run):
    """A line or two for each malformed thing, then next to silence."""
    for name, lines in run.noise.items():
        assert len(lines) <= QUIET_ROUNDS, name  # a summary of what went before
    for name, lines in run.lines().items():
        assert len(lines) < 2 * len(run.in_lists), name


@pytest.mark.parametrize(
    "command",
    [
        "events rejected list --limit 1000",
        "events rejected list --limit 1000 --json",
        "events parked list",
        "events superseded list",
        "notices dead list",
        "notices dead list --json",
        "operators status",
        "operators status --json",
    ],
)
def test_lists_show_what_is_damaged(run, slipway, command):
    listed = slipway(*command.split())

    assert listed.code == 0, listed.err


def test_everything_damaged_can_be_looked_at_one_by_one(run, slipway):
    for ticket_id in run.damaged:
        for form in ([], ["--json"]):
            shown = slipway("ticket", ticket_id, *form)
            assert (shown.code, ticket_id in shown.out) == (0, True), shown.err
    for row in run.rows(PARKED_ENDS):
        if row.ticket_id in run.damaged.parked:
            shown = slipway("events", "rejected", "show", row.event_id)
            assert (shown.code, row.message in shown.out) == (0, True), shown.err


def test_a_damaged_event_that_is_taken_up_again_stays_refused(run, slipway):
    ids = {row.ticket_id: row.event_id for row in run.rows(PARKED_ENDS)}

    for ticket_id in run.damaged.parked:
        done = slipway("events", "rejected", "retry", ids[ticket_id], "--by", "a", "--why", "b")
        assert (done.code, "Traceback" in done.err) == (1, False), (done.out, done.err)


def test_raw_input_of_every_kind_can_be_shown(run, slipway):
    seen: set[str] = set()
    for id_, bad in run.on_stream.items():
        if bad.kind not in seen:
            seen.add(bad.kind)
            shown = slipway("events", "rejected", "show", id_)
            assert (shown.code, bad.reason.value in shown.out) == (0, True), shown.err
    assert seen == set(STREAM_KINDS)


@pytest.fixture
def slipway(monkeypatch, capsys, run) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=run.url, redis_url="redis://127.0.0.1:1/0", secret_key=KEY)
    return line

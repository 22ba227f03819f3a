"""The trace of an event goes on with what it causes: notices, repeats, discards, the closing."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from models.history import load_histories, timeline
from models.history.words import line_of
from models.intake.apply import Applied
from models.outbox.send_again import send_again
from models.outbox.values import Dead, Delivered
from tests.support.harness import CLOSE_DELAY, SLIP, Harness

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def say(
    harness: Harness,
    action: str,
    traceparent: str,
    **data: Any,  # noqa: ANN401 - handed on to `event`
) -> Applied:
    """Publish one event whose entry names a trace."""
    entry = harness.event(action, **data)
    fields = {**entry.fields, b"traceparent": traceparent.encode()}
    return harness.publish(type(entry)(entry.id, fields))


def traces(rows: Sequence[Row[Any]]) -> list[str | None]:
    return [row.traceparent for row in rows]


def test_event_and_notice_keep_it_and_a_deliverer_gets_it(harness, records):
    say(harness, "ticket_win", GIVEN)

    assert traces(records.events()) == traces(records.notices()) == [GIVEN]
    assert harness.claim_one().traceparent == GIVEN


def test_without_one_nothing_is_kept(harness, records):
    harness.say("ticket_win")

    assert traces(records.events()) == traces(records.notices()) == [None]


def test_a_repeat_with_another_trace_is_the_same_event(harness, records):
    say(harness, "ticket_win", GIVEN, event_id="e")
    repeated = say(harness, "ticket_win", OTHER, event_id="e")

    assert repeated.outcomes == {("ticket_win", "duplicate"): 1}
    assert traces(records.events()) == [GIVEN]


def test_a_parked_event_has_its_own_once_it_is_applied(harness, records):
    say(harness, "ticket_rollback", OTHER)
    say(harness, "ticket_win", GIVEN)

    assert traces(records.events()) == [OTHER, GIVEN]
    assert [(row.action, row.traceparent) for row in records.notices()] == [
        ("ticket_win", GIVEN),
        ("ticket_rollback", OTHER),
    ]


def test_a_correction_s_rollback_and_result_are_both_part_of_it(harness, records):
    say(harness, "ticket_win", OTHER)
    harness.wait(timedelta(seconds=1))
    say(harness, "ticket_refund", GIVEN, correction=True, reason="void")

    assert traces(records.notices()) == [OTHER, GIVEN, GIVEN]


def test_the_discard_after_a_refused_create_is_part_of_it(harness, records):
    say(harness, "ticket_create", GIVEN, **SLIP)
    harness.deliver(Dead("answered 400"))

    assert [(row.action, row.traceparent) for row in records.notices()] == [
        ("ticket_create", GIVEN),
        ("ticket_discard", GIVEN),
    ]


def test_a_repeat_by_hand_is_part_of_it(harness, records, engine):
    say(harness, "ticket_win", GIVEN)
    harness.deliver(Delivered())
    (notice,) = records.notices()
    with engine.begin() as connection:
        send_again(connection, notice.id, now=harness.now)

    assert traces(records.notices()) == [GIVEN, GIVEN]


@pytest.mark.parametrize("result", ["ticket_win", "ticket_lost", "ticket_refund"])
def test_the_closing_has_that_of_the_result_that_it_closes(harness, records, result):
    say(harness, "ticket_void" if result == "ticket_refund" else "ticket_win", OTHER, **SLIP)
    harness.deliver()
    harness.say("ticket_rollback")
    harness.deliver()
    harness.wait(timedelta(seconds=1))
    say(harness, result, GIVEN, reason="void")
    harness.deliver()
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == 1
    closed = records.notices()[-1]
    assert (closed.action, closed.traceparent) == ("ticket_closed", GIVEN)


def test_the_history_names_it(harness, engine):
    say(harness, "ticket_win", GIVEN)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()

    with engine.connect() as connection:
        (history,) = load_histories(connection, "T")

    assert [event.trace_id for event in history.events] == [TRACE]
    assert [notice.trace_id for notice in history.notices] == [TRACE, TRACE]
    lines = [line_of(moment.what, "EUR") for moment in timeline(history)]
    named = [(line.kind, line.which) for line in lines if f"trace {TRACE}" in line.details]
    assert named == [("event", "ticket_win"), ("notice", "ticket_closed")]


def test_the_log_lines_name_it(harness, caplog):
    with caplog.at_level(logging.DEBUG, "models.intake"):
        say(harness, "ticket_win", GIVEN)
        harness.say("ticket_rollback")

    lines = [vars(line) for line in caplog.records if line.message == "event_decided"]
    assert [line.get("trace_id") for line in lines] == [TRACE, None]

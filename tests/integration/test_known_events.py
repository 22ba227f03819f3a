"""An event counts once per ticket (rule 2): repeats, redeliveries, and ids used twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from tests.support.harness import AMOUNTS

OUTCOME = ("outcome", "reason", "message", "decided_at", "entry_id", "order_time", "park_until")


def stored(row: Row[Any]) -> dict[str, object]:
    return {name: getattr(row, name) for name in OUTCOME}


@pytest.mark.parametrize(
    "action", ["ticket_win", "ticket_rollback"], ids=["applied before", "parked before"]
)
def test_the_same_event_again_is_a_duplicate_and_its_stored_outcome_stays(harness, records, action):
    harness.say(action, event_id="e", at=harness.now)
    before = stored(records.event("e"))
    harness.wait(timedelta(minutes=1))

    again = harness.say(action, event_id="e", at=harness.now)

    assert again == {(action, "duplicate"): 1}
    after = records.event("e")
    assert stored(after) == before
    assert (after.repeats, after.repeated_at) == (1, harness.now)
    assert len(records.notices()) == (1 if action == "ticket_win" else 0)


def test_repeats_inside_one_batch_are_counted(harness, records):
    thrice = [harness.event("ticket_win", event_id="e") for _ in range(3)]

    applied = harness.publish(*thrice)

    assert applied.outcomes == {("ticket_win", "applied"): 1, ("ticket_win", "duplicate"): 2}
    assert records.event("e").repeats == 2


@pytest.mark.parametrize("event_id", ["e", None], ids=["with an id", "named by its entry"])
def test_an_entry_that_is_delivered_again_is_no_repeat(harness, records, event_id):
    """H47: the consumer died between COMMIT and XACK."""
    entry = harness.event("ticket_win", event_id=event_id)
    harness.publish(entry)

    again = harness.publish(replace(entry, deliveries=2))

    assert again.outcomes == {("ticket_win", "duplicate"): 1}
    (row,) = records.events()
    assert (row.outcome, row.repeats, row.entry_id) == ("applied", 0, entry.id)
    assert row.event_id == (event_id or f"stream:{entry.id}")


def test_a_batch_that_comes_again_with_company_applies_only_what_is_new(harness, records):
    old = [harness.event("ticket_win", f"T{number}") for number in range(3)]
    harness.publish(*old)

    applied = harness.publish(*old, harness.event("ticket_win", "NEW"))

    assert applied.outcomes == {("ticket_win", "duplicate"): 3, ("ticket_win", "applied"): 1}
    assert [records.events(f"T{number}")[0].repeats for number in range(3)] == [0, 0, 0]


def test_an_entry_can_be_said_again_under_the_id_that_stood_in_for_one(harness, records):
    """`stream:` and the entry's id, as the log shows it; for another statement it is used up."""
    entry = harness.event("ticket_win")
    harness.publish(entry)

    again = harness.say("ticket_win", event_id=f"stream:{entry.id}")
    other = harness.say("ticket_rollback", event_id=f"stream:{entry.id}")

    assert again == {("ticket_win", "duplicate"): 1}
    assert other == {("ticket_rollback", "rejected"): 1}
    assert [row.reason for row in records.rejected()] == ["event_id_reused"]
    assert records.standing() == "resulted/won"


def test_without_an_id_every_entry_is_an_event_of_its_own(harness, records):
    """Rule 2, H10: a publisher's retry counts unless `event_id` was fixed before."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_win"))

    assert records.outcomes() == [("ticket_win", "applied"), ("ticket_win", "confirmed")]


@pytest.mark.parametrize(
    "data",
    [
        {"ext": 12.5, "wht": 10.0},
        {"deep": [{"a": [1, 2.5, None, True]}, "ü\u2028\x7f😀"]},
        {"large": 123456789012345678901234567890},
        {"rough": 1e23, "tiny": 5e-324, "huge": 1.7976931348623157e308},
    ],
    ids=["fractions", "nested", "a long integer", "numbers that jsonb writes out"],
)
def test_the_same_data_is_the_same_however_jsonb_gives_it_back(harness, records, data):
    entry = harness.event("ticket_win", event_id="e", **data)
    harness.publish(entry)

    assert harness.publish(entry).outcomes == {("ticket_win", "duplicate"): 1}
    assert harness.say("ticket_win", event_id="e", **data) == {("ticket_win", "duplicate"): 1}
    assert records.rejected() == []


@pytest.mark.parametrize(
    ("action", "data"),
    [("ticket_lost", {}), ("ticket_win", {"net_payout": 5}), ("ticket_win", {"seen": True})],
    ids=["another action", "other money", "another stranger"],
)
def test_an_id_used_again_for_something_else_is_refused_and_kept_raw(
    harness, records, action, data
):
    """H13."""
    harness.say("ticket_win", event_id="e", seen=1)
    other = harness.event(action, event_id="e", **data)

    applied = harness.publish(other, harness.event("ticket_win", "NEIGHBOUR"))

    assert applied.outcomes == {(action, "rejected"): 1, ("ticket_win", "applied"): 1}
    (kept,) = records.rejected()
    assert kept.reason == "event_id_reused"
    assert kept.raw == other.fields[b"event"]
    assert (kept.operator, kept.ticket_id, kept.event_id) == ("acme", "T", "e")
    assert records.event("e").repeats == 0
    assert records.standing() == "resulted/won"
    assert records.standing("NEIGHBOUR") == "resulted/won"


def test_a_reused_id_inside_one_batch_is_refused(harness, records):
    harness.publish(
        harness.event("ticket_win", event_id="e"), harness.event("ticket_lost", event_id="e")
    )

    assert records.standing() == "resulted/won"
    assert [row.reason for row in records.rejected()] == ["event_id_reused"]


def test_a_refused_entry_that_is_delivered_again_is_kept_once(harness, records):
    harness.say("ticket_win", event_id="e")
    entry = harness.event("ticket_lost", event_id="e")

    harness.publish(entry)
    harness.publish(entry)

    assert len(records.rejected()) == 1


def test_the_same_id_on_another_ticket_or_operator_is_another_event(harness, records):
    """H12 and H14: ids are unique within a ticket, tickets within their operator."""
    harness.add_operator("bravo")

    applied = harness.publish(
        harness.event("ticket_win", "T", event_id="7"),
        harness.event("ticket_lost", "U", event_id="7"),
        harness.event("ticket_void", "T", event_id="7", operator="bravo", **AMOUNTS),
    )

    assert applied.outcomes.total() == 3
    assert records.standing("T") == "resulted/won"
    assert records.standing("U") == "resulted/lost"
    assert records.standing("T", operator="bravo") == "resulted/void"
    assert records.rejected() == []

"""An event counts once per ticket (rule 2): repeats, redeliveries, and ids used twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from tests.support.desk import AMOUNTS

OUTCOME = ("outcome", "reason", "message", "decided_at", "entry_id", "order_time", "park_until")


def stored(row: Row[Any]) -> dict[str, object]:
    return {name: getattr(row, name) for name in OUTCOME}


@pytest.mark.parametrize(
    "action", ["ticket_win", "ticket_rollback"], ids=["applied before", "parked before"]
)
def test_the_same_event_again_is_a_duplicate_and_its_stored_outcome_stays(desk, books, action):
    desk.say(action, event_id="e", at=desk.now)
    before = stored(books.event("e"))
    desk.wait(timedelta(minutes=1))

    again = desk.say(action, event_id="e", at=desk.now)

    assert again == {(action, "duplicate"): 1}
    after = books.event("e")
    assert stored(after) == before
    assert (after.repeats, after.repeated_at) == (1, desk.now)
    assert len(books.notices()) == (1 if action == "ticket_win" else 0)


def test_repeats_inside_one_chunk_are_counted(desk, books):
    thrice = [desk.event("ticket_win", event_id="e") for _ in range(3)]

    applied = desk.publish(*thrice)

    assert applied.outcomes == {("ticket_win", "applied"): 1, ("ticket_win", "duplicate"): 2}
    assert books.event("e").repeats == 2


@pytest.mark.parametrize("event_id", ["e", None], ids=["with an id", "named by its entry"])
def test_an_entry_that_is_delivered_again_is_no_repeat(desk, books, event_id):
    """Protocol H47: the consumer died between COMMIT and XACK."""
    entry = desk.event("ticket_win", event_id=event_id)
    desk.publish(entry)

    again = desk.publish(replace(entry, deliveries=2))

    assert again.outcomes == {("ticket_win", "duplicate"): 1}
    (row,) = books.events()
    assert (row.outcome, row.repeats, row.entry_id) == ("applied", 0, entry.id)
    assert row.event_id == (event_id or f"stream:{entry.id}")


def test_a_chunk_that_comes_again_with_company_applies_only_what_is_new(desk, books):
    old = [desk.event("ticket_win", f"T{number}") for number in range(3)]
    desk.publish(*old)

    applied = desk.publish(*old, desk.event("ticket_win", "NEW"))

    assert applied.outcomes == {("ticket_win", "duplicate"): 3, ("ticket_win", "applied"): 1}
    assert [books.events(f"T{number}")[0].repeats for number in range(3)] == [0, 0, 0]


def test_an_entry_can_be_said_again_under_the_id_that_stood_in_for_one(desk, books):
    """`stream:` and the entry's id, as the log shows it; for another statement it is used up."""
    entry = desk.event("ticket_win")
    desk.publish(entry)

    again = desk.say("ticket_win", event_id=f"stream:{entry.id}")
    other = desk.say("ticket_rollback", event_id=f"stream:{entry.id}")

    assert again == {("ticket_win", "duplicate"): 1}
    assert other == {("ticket_rollback", "rejected"): 1}
    assert [row.reason for row in books.rejected()] == ["event_id_reused"]
    assert books.standing() == "resulted/won"


def test_without_an_id_every_entry_is_an_event_of_its_own(desk, books):
    """Rule 2, protocol H10: a publisher's retry counts unless `event_id` was fixed before."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_win"))

    assert books.outcomes() == [("ticket_win", "applied"), ("ticket_win", "confirmed")]


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
def test_the_same_data_is_the_same_however_jsonb_gives_it_back(desk, books, data):
    entry = desk.event("ticket_win", event_id="e", **data)
    desk.publish(entry)

    assert desk.publish(entry).outcomes == {("ticket_win", "duplicate"): 1}
    assert desk.say("ticket_win", event_id="e", **data) == {("ticket_win", "duplicate"): 1}
    assert books.rejected() == []


@pytest.mark.parametrize(
    ("action", "data"),
    [("ticket_lost", {}), ("ticket_win", {"net_payout": 5}), ("ticket_win", {"seen": True})],
    ids=["another action", "other money", "another stranger"],
)
def test_an_id_used_again_for_something_else_is_refused_and_kept_raw(desk, books, action, data):
    """Protocol H13."""
    desk.say("ticket_win", event_id="e", seen=1)
    other = desk.event(action, event_id="e", **data)

    applied = desk.publish(other, desk.event("ticket_win", "NEIGHBOUR"))

    assert applied.outcomes == {(action, "rejected"): 1, ("ticket_win", "applied"): 1}
    (kept,) = books.rejected()
    assert kept.reason == "event_id_reused"
    assert kept.raw == other.fields[b"event"]
    assert (kept.operator, kept.ticket_id, kept.event_id) == ("acme", "T", "e")
    assert books.event("e").repeats == 0
    assert books.standing() == "resulted/won"
    assert books.standing("NEIGHBOUR") == "resulted/won"


def test_a_reused_id_inside_one_chunk_is_refused(desk, books):
    desk.publish(desk.event("ticket_win", event_id="e"), desk.event("ticket_lost", event_id="e"))

    assert books.standing() == "resulted/won"
    assert [row.reason for row in books.rejected()] == ["event_id_reused"]


def test_a_refused_entry_that_is_delivered_again_is_kept_once(desk, books):
    desk.say("ticket_win", event_id="e")
    entry = desk.event("ticket_lost", event_id="e")

    desk.publish(entry)
    desk.publish(entry)

    assert len(books.rejected()) == 1


def test_the_same_id_on_another_ticket_or_operator_is_another_event(desk, books):
    """Protocol H12 and H14: ids are unique within a ticket, tickets within their operator."""
    desk.add_operator("bravo")

    applied = desk.publish(
        desk.event("ticket_win", "T", event_id="7"),
        desk.event("ticket_lost", "U", event_id="7"),
        desk.event("ticket_void", "T", event_id="7", operator="bravo", **AMOUNTS),
    )

    assert applied.outcomes.total() == 3
    assert books.standing("T") == "resulted/won"
    assert books.standing("U") == "resulted/lost"
    assert books.standing("T", operator="bravo") == "resulted/void"
    assert books.rejected() == []

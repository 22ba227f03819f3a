"""What is rejected on arrival is counted by its reason and by the door it came through."""

import json
from collections import Counter

from models.events.celery_message import KIND as QUEUE
from models.events.event import Entry
from models.events.lottery import KIND as LOTTERY
from tests.support.desk import CLOSE_DELAY, PARKING_WINDOW, SLIP, Desk
from worker.metrics.intake import REJECTING


def through(door: bytes, desk: Desk) -> Entry:
    """Something unreadable that came through *door*."""
    return Entry(desk.raw(b"").id, {b"type": door, b"event": b"no json"})


def test_each_rejection_is_counted_once_by_reason_and_door(desk: Desk):
    applied = desk.publish(
        desk.raw(b"no json"),
        desk.event("ticket_win", "stranger", operator="nobody"),
        through(QUEUE, desk),
        through(LOTTERY, desk),
        through(b"TELEX", desk),
        desk.event("ticket_win", "fine"),
    )

    assert applied.rejected == Counter(
        {
            ("not_json", "stream"): 1,
            ("unknown_operator", "stream"): 1,
            ("not_json", "queue"): 1,
            ("not_json", "lottery"): 1,
            ("unknown_type", "unknown"): 1,
        }
    )


def test_what_its_ticket_does_not_take_is_counted_with_the_tickets_reason(desk: Desk):
    desk.say("ticket_win", "T")
    desk.deliver()
    desk.wait(CLOSE_DELAY)
    assert desk.close_due() == 1

    applied = desk.publish(desk.event("ticket_rollback", "T"))

    assert applied.rejected == Counter({("ticket_closed", "stream"): 1})
    assert applied.outcomes["ticket_rollback", "rejected"] == 1


def test_what_had_been_parked_has_no_door_any_more(desk: Desk):
    desk.say("ticket_open", "T", sequence=1, **SLIP)
    desk.say("ticket_rollback", "T", sequence=3)
    desk.wait(PARKING_WINDOW / 2)

    applied = desk.publish(desk.event("ticket_update", "T", sequence=2, **SLIP))

    assert applied.rejected == Counter({("out_of_turn", "earlier"): 1})


def test_every_reason_that_was_seen_is_one_that_starts_from_zero(desk: Desk):
    """An alert sees a rise only from a zero that was shown before."""
    seen = desk.publish(desk.raw(json.dumps({"action": "ticket_win"}).encode())).rejected

    assert {reason for reason, _ in seen} <= set(REJECTING)
    assert len(REJECTING) == len(set(REJECTING))

"""What is rejected on arrival is counted by reason and channel."""

import json
from collections import Counter

from models.events.event import Entry
from models.events.stream_contract import CELERY_TYPE, LOTTERY_TYPE
from tests.support.harness import CLOSE_DELAY, PARKING_WINDOW, SLIP, Harness
from worker.metrics.intake import REJECTING


def through(channel: bytes, harness: Harness) -> Entry:
    """An unreadable entry that came through *channel*."""
    return Entry(harness.raw(b"").id, {b"type": channel, b"event": b"no json"})


def test_each_rejection_is_counted_once_by_reason_and_channel(harness: Harness):
    applied = harness.publish(
        harness.raw(b"no json"),
        harness.event("ticket_win", "stranger", operator="nobody"),
        through(CELERY_TYPE, harness),
        through(LOTTERY_TYPE, harness),
        through(b"TELEX", harness),
        harness.event("ticket_win", "fine"),
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


def test_what_its_ticket_does_not_take_is_counted_with_the_tickets_reason(harness: Harness):
    harness.say("ticket_win", "T")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    assert harness.close_due() == 1

    applied = harness.publish(harness.event("ticket_rollback", "T"))

    assert applied.rejected == Counter({("ticket_closed", "stream"): 1})
    assert applied.outcomes["ticket_rollback", "rejected"] == 1


def test_what_had_been_parked_has_no_channel_any_more(harness: Harness):
    harness.say("ticket_open", "T", sequence=1, **SLIP)
    harness.say("ticket_rollback", "T", sequence=3)
    harness.wait(PARKING_WINDOW / 2)

    applied = harness.publish(harness.event("ticket_update", "T", sequence=2, **SLIP))

    assert applied.rejected == Counter({("out_of_turn", "earlier"): 1})


def test_every_reason_that_was_seen_is_one_that_starts_from_zero(harness: Harness):
    """An alert sees a rise only from a zero that was shown before."""
    seen = harness.publish(harness.raw(json.dumps({"action": "ticket_win"}).encode())).rejected

    assert {reason for reason, _ in seen} <= set(REJECTING)
    assert len(REJECTING) == len(set(REJECTING))

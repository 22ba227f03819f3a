"""A person releases a ticket that was on hold: what is due then, and what is not (rule 23)."""

from datetime import timedelta

import pytest

from models.outbox.values import RetryLater, Unanswered
from tests.support.harness import (
    CLOSE_DELAY,
    LEASE,
    PARTNER_GRACE,
)
from tests.support.records import Records

AGAIN = RetryLater(timedelta(hours=2))
UNANSWERED = Unanswered(timedelta(seconds=1))
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def win(harness):
    """A ticket with a result that the partner is to get."""
    harness.say("ticket_win")


def heads(records: Records) -> list[bool]:
    return [row.head for row in records.notices()]


@pytest.mark.usefixtures("win")
def test_release_makes_what_was_due_due_now(harness, records):
    harness.hold()
    harness.wait(3 * DAY)
    released = harness.release_ticket()

    assert (released.next_action, released.next_try_at) == ("ticket_win", harness.now)
    assert records.notice(1).due_at == harness.now
    assert harness.deliver() == [("T", "ticket_win")]


@pytest.mark.usefixtures("win")
def test_a_pause_that_still_runs_is_not_shortened(harness):
    harness.deliver(AGAIN)
    due = harness.now + AGAIN.pause
    harness.hold()
    harness.wait(MINUTE)

    assert harness.release_ticket().next_try_at == due
    assert harness.claim() == []
    harness.wait(AGAIN.pause - MINUTE)
    assert harness.deliver() == [("T", "ticket_win")]


@pytest.mark.usefixtures("win")
def test_the_grace_after_a_call_without_an_answer_is_not_shortened(harness):
    """Rule 15."""
    under_way = harness.claim_one()
    harness.hold()
    harness.record(under_way, UNANSWERED)
    harness.release_ticket()

    harness.wait(PARTNER_GRACE - timedelta(milliseconds=1))
    assert harness.claim() == []
    harness.wait(timedelta(milliseconds=1))
    assert harness.deliver() == [("T", "ticket_win")]


@pytest.mark.usefixtures("win")
def test_a_follower_waits_for_the_other_lease_whose_notice_succeeded_meanwhile(harness):
    """Rule 14: the ticket's own delay is kept across hold and release."""
    slow = harness.claim_one()
    harness.say("ticket_rollback")
    harness.wait(LEASE)
    other = harness.claim_one()
    harness.hold()
    harness.record(slow)
    harness.release_ticket()

    assert harness.claim() == []
    harness.wait(LEASE)
    assert harness.deliver() == [("T", "ticket_rollback")]
    assert other.notice == slow.notice


@pytest.mark.usefixtures("win")
def test_the_time_on_hold_does_not_count_towards_the_retry_limit(harness):
    harness.deliver(AGAIN)
    began = harness.now
    harness.hold()
    harness.wait(30 * DAY)
    harness.release_ticket()
    claim = harness.claim_one()

    assert harness.now - claim.first_tried_at == timedelta(0)
    assert began < claim.first_tried_at


@pytest.mark.usefixtures("win")
def test_a_pause_that_is_not_over_at_the_release_counts_in_full(harness):
    harness.deliver(AGAIN)
    harness.hold()
    harness.release_ticket()
    harness.wait(AGAIN.pause)

    assert harness.now - harness.claim_one().first_tried_at == AGAIN.pause


@pytest.mark.usefixtures("win")
def test_the_close_delay_is_not_shortened(harness, records):
    harness.deliver()
    due = records.ticket().close_due_at
    harness.hold()
    harness.wait(CLOSE_DELAY / 2)

    assert harness.release_ticket().close_due_at == due
    assert harness.close_due() == 0
    harness.wait(CLOSE_DELAY / 2)
    assert harness.close_due() == 1


@pytest.mark.usefixtures("win")
def test_a_closing_that_fell_due_meanwhile_is_due_at_the_release(harness, records):
    harness.deliver()
    harness.hold()
    harness.wait(2 * CLOSE_DELAY)
    harness.release_ticket()

    assert records.ticket().close_due_at == harness.now
    assert harness.close_due() == 1
    assert harness.deliver() == [("T", "ticket_closed")]


@pytest.mark.usefixtures("win")
def test_a_rollback_that_was_on_the_stream_before_the_release_is_not_overtaken(harness, records):
    """Rule 17: the closing is due at the release, and the watermark is older than the rollback."""
    harness.deliver()
    harness.hold()
    harness.wait(2 * CLOSE_DELAY)
    watermark = harness.now
    rollback = harness.event("ticket_rollback")
    harness.wait(MINUTE)
    harness.release_ticket()

    assert harness.close_due(watermark=watermark) == 0
    harness.publish(rollback)
    assert records.standing() == "open/pending"


@pytest.mark.usefixtures("win")
def test_a_rollback_during_the_hold_stops_the_clock(harness, records):
    harness.deliver()
    harness.hold()
    harness.wait(2 * CLOSE_DELAY)
    harness.say("ticket_rollback")
    harness.release_ticket()

    assert (harness.close_due(), records.standing()) == (0, "open/pending")
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_release_of_a_ticket_with_nothing_to_send(harness):
    harness.say("ticket_open")
    harness.hold()
    released = harness.release_ticket()

    assert (released.next_action, released.next_dead, released.close_due_at) == (None, False, None)

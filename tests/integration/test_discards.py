"""A discard meets its create before it is sent, in flight, or not at all (rules 10 and 11)."""

from datetime import timedelta

import pytest

from models.outbox.record import DISCARD_AGAIN_AFTER
from models.outbox.values import Dead, Delivered, Unanswered
from tests.support.harness import LEASE, PARTNER_GRACE, SLIP

PAUSE = timedelta(seconds=30)
DISCARD = [("T", "ticket_discard")]


@pytest.fixture
def discarded_in_flight(harness):
    """A create that is being sent while its ticket is discarded."""
    harness.say("ticket_create", **SLIP)
    create = harness.claim_one()
    harness.say("ticket_discard", reason="changed my mind")
    return create


def test_a_discard_of_an_unknown_ticket_leaves_a_tombstone(harness, records):
    """Rule 11, H30: the partner is notified, and a create that comes later is rejected."""
    harness.say("ticket_discard", reason="never placed")
    harness.say("ticket_create", event_id="late", **SLIP)

    assert records.standing() == "cancelled/pending"
    assert records.event("late").reason == "ticket_cancelled"
    assert harness.deliver() == DISCARD
    assert harness.claim() == []


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_a_create_that_was_not_sent_is_taken_back(harness, records, together):
    """The partner gets the discard alone, at once."""
    entries = harness.event("ticket_create", **SLIP), harness.event("ticket_discard")
    for batch in [entries] if together else [[entry] for entry in entries]:
        assert harness.publish(*batch).due

    create, discard = records.notices()
    assert (create.ended, create.head, create.claims) == ("withdrawn", False, 0)
    assert discard.head
    assert records.ticket().unfinished == 1
    assert harness.deliver() == DISCARD


def test_many_creates_of_a_batch_are_taken_back_each_for_itself(harness, records):
    names = [f"T{number}" for number in range(5)]
    harness.publish(*(harness.event("ticket_create", name, **SLIP) for name in names))
    harness.release(*(claim for claim in harness.claim() if claim.ticket_id != "T3"))
    harness.publish(*(harness.event("ticket_discard", name) for name in names))

    kept = [name for name in names if records.notice(1, name).ended is None]
    assert kept == ["T3"]
    assert harness.deliver() == [(name, "ticket_discard") for name in names if name != "T3"]


def test_a_numbered_discard_takes_back_the_create_it_waited_for(harness, records):
    """Rule 9: it came first, and is decided behind the create in the same transaction."""
    harness.say("ticket_discard", sequence=2)
    harness.say("ticket_create", sequence=1, **SLIP)

    assert [row.ended for row in records.notices()] == ["withdrawn", None]
    assert harness.deliver() == DISCARD


@pytest.mark.usefixtures("discarded_in_flight")
def test_a_discard_waits_behind_the_create_in_flight(harness, records):
    assert records.standing() == "cancelled/pending"
    assert [row.head for row in records.notices()] == [True, False]
    assert harness.claim() == []


@pytest.mark.parametrize("verdict", [Delivered(), Dead("402")], ids=repr)
def test_a_known_answer_lets_the_discard_go_at_once(harness, records, discarded_in_flight, verdict):
    """H26: a 200 does not open a ticket that was discarded meanwhile."""
    assert harness.record(discarded_in_flight, verdict).due

    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == DISCARD
    harness.wait(10 * DISCARD_AGAIN_AFTER)
    assert harness.claim() == []
    assert records.notice_actions() == ["ticket_create", "ticket_discard"]


def test_an_unanswered_create_keeps_the_discard_waiting_and_doubles_it(
    harness, discarded_in_flight
):
    """Rules 10 and 15."""
    harness.record(discarded_in_flight, Unanswered(PAUSE))
    at_once = harness.claim()
    harness.wait(PARTNER_GRACE)

    assert at_once == []
    assert harness.deliver() == DISCARD
    harness.wait(DISCARD_AGAIN_AFTER)
    assert harness.deliver() == DISCARD
    harness.wait(10 * DISCARD_AGAIN_AFTER)
    assert harness.claim() == []


def test_a_lost_create_lets_the_discard_go_and_doubles_it(harness, records, discarded_in_flight):
    harness.wait(LEASE)
    assert harness.abandon_creates() == 1

    assert harness.deliver() == DISCARD
    harness.wait(DISCARD_AGAIN_AFTER)
    assert harness.deliver() == DISCARD
    assert records.notice(1).number == discarded_in_flight.number


def test_a_second_discard_event_confirms_and_sends_nothing(harness, records):
    harness.say("ticket_discard")
    assert harness.say("ticket_discard") == {("ticket_discard", "confirmed"): 1}

    assert records.notice_actions() == ["ticket_discard"]


def test_a_discard_of_an_open_ticket_is_rejected(harness, records):
    """It is refunded or voided instead (H30: some transitions at the partner cannot be undone)."""
    harness.say("ticket_open")
    harness.say("ticket_discard", event_id="late")

    assert records.event("late").reason == "already_open"
    assert records.notice_actions() == []

"""A discard meets its create before it is sent, in flight, or not at all (rules 10 and 11)."""

from datetime import timedelta

import pytest

from models.outbox.record import DISCARD_AGAIN_AFTER
from models.outbox.values import Dead, Delivered, Unanswered
from tests.support.desk import LEASE, PARTNER_GRACE, SLIP

PAUSE = timedelta(seconds=30)
DISCARD = [("T", "ticket_discard")]


@pytest.fixture
def discarded_in_flight(desk):
    """A create that is being sent while its ticket is discarded."""
    desk.say("ticket_create", **SLIP)
    create = desk.claim_one()
    desk.say("ticket_discard", reason="changed my mind")
    return create


def test_a_discard_of_an_unknown_ticket_leaves_a_tombstone(desk, books):
    """Rule 11, protocol H30: the partner is told, and a create that comes later is rejected."""
    desk.say("ticket_discard", reason="never placed")
    desk.say("ticket_create", event_id="late", **SLIP)

    assert books.standing() == "cancelled/pending"
    assert books.event("late").reason == "ticket_cancelled"
    assert desk.deliver() == DISCARD
    assert desk.claim() == []


@pytest.mark.parametrize("together", [True, False], ids=["one chunk", "two chunks"])
def test_a_create_that_was_not_sent_is_taken_back(desk, books, together):
    """The partner hears of the discard alone, at once."""
    entries = desk.event("ticket_create", **SLIP), desk.event("ticket_discard")
    for chunk in [entries] if together else [[entry] for entry in entries]:
        assert desk.publish(*chunk).due

    create, discard = books.notices()
    assert (create.ended, create.head, create.claims) == ("withdrawn", False, 0)
    assert discard.head
    assert books.ticket().unfinished == 1
    assert desk.deliver() == DISCARD


def test_many_creates_of_a_chunk_are_taken_back_each_for_itself(desk, books):
    names = [f"T{number}" for number in range(5)]
    desk.publish(*(desk.event("ticket_create", name, **SLIP) for name in names))
    desk.release(*(one for one in desk.claim() if one.ticket_id != "T3"))
    desk.publish(*(desk.event("ticket_discard", name) for name in names))

    kept = [name for name in names if books.notice(1, name).ended is None]
    assert kept == ["T3"]
    assert desk.deliver() == [(name, "ticket_discard") for name in names if name != "T3"]


def test_a_numbered_discard_takes_back_the_create_it_waited_for(desk, books):
    """Rule 9: it came first, and is decided behind the create in the same transaction."""
    desk.say("ticket_discard", sequence=2)
    desk.say("ticket_create", sequence=1, **SLIP)

    assert [row.ended for row in books.notices()] == ["withdrawn", None]
    assert desk.deliver() == DISCARD


@pytest.mark.usefixtures("discarded_in_flight")
def test_a_discard_waits_behind_the_create_in_flight(desk, books):
    assert books.standing() == "cancelled/pending"
    assert [row.head for row in books.notices()] == [True, False]
    assert desk.claim() == []


@pytest.mark.parametrize("verdict", [Delivered(), Dead("402")], ids=repr)
def test_a_known_answer_lets_the_discard_go_at_once(desk, books, discarded_in_flight, verdict):
    """Protocol H26: a 200 does not open a ticket that was discarded meanwhile."""
    assert desk.record(discarded_in_flight, verdict).due

    assert books.standing() == "cancelled/pending"
    assert desk.deliver() == DISCARD
    desk.wait(10 * DISCARD_AGAIN_AFTER)
    assert desk.claim() == []
    assert books.owed() == ["ticket_create", "ticket_discard"]


def test_an_unanswered_create_keeps_the_discard_waiting_and_doubles_it(desk, discarded_in_flight):
    """Rules 10 and 15."""
    desk.record(discarded_in_flight, Unanswered(PAUSE))
    at_once = desk.claim()
    desk.wait(PARTNER_GRACE)

    assert at_once == []
    assert desk.deliver() == DISCARD
    desk.wait(DISCARD_AGAIN_AFTER)
    assert desk.deliver() == DISCARD
    desk.wait(10 * DISCARD_AGAIN_AFTER)
    assert desk.claim() == []


def test_a_lost_create_lets_the_discard_go_and_doubles_it(desk, books, discarded_in_flight):
    desk.wait(LEASE)
    assert desk.abandon_creates() == 1

    assert desk.deliver() == DISCARD
    desk.wait(DISCARD_AGAIN_AFTER)
    assert desk.deliver() == DISCARD
    assert books.notice(1).number == discarded_in_flight.number


def test_a_second_discard_event_confirms_and_sends_nothing(desk, books):
    desk.say("ticket_discard")
    assert desk.say("ticket_discard") == {("ticket_discard", "confirmed"): 1}

    assert books.owed() == ["ticket_discard"]


def test_a_discard_of_an_open_ticket_is_rejected(desk, books):
    """It is refunded or voided instead (protocol H30: moves at the partner can't be undone)."""
    desk.say("ticket_open")
    desk.say("ticket_discard", event_id="late")

    assert books.event("late").reason == "already_open"
    assert books.owed() == []

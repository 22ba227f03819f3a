"""Rule 22 on two connections: a ticket is sent again while something else has its row."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.outbox.repeats import StillUnfinished
from models.outbox.send_again import SentAgain
from models.outbox.values import Attempt, Delivered
from models.sweeps.retention import remove_expired
from models.triage import send_notices_again
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import CLOSE_DELAY, LEASE, TOOK, Harness
from tests.support.records import Records

ANNA = Person("anna", "they restored a backup")


class Asked:
    """Has the ticket T sent again from its first notice on."""

    def __init__(self, harness: Harness, records: Records) -> None:
        self.harness = harness
        self.notice = records.notice(1).id

    def within(self, connection: Connection) -> SentAgain:
        return send_notices_again(connection, self.notice, person=ANNA, now=self.harness.now)

    def __call__(self) -> SentAgain | NotPossible:
        """In a transaction of its own; the refusal is returned."""
        try:
            with self.harness.engine.begin() as connection:
                return self.within(connection)
        except NotPossible as refusal:
            return refusal


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


@pytest.fixture
def again(harness, records) -> Asked:
    """A ticket whose result the partner has taken."""
    harness.say("ticket_win")
    harness.deliver()
    return Asked(harness, records)


def test_what_an_event_causes_meanwhile_is_numbered_after_the_repeats(
    harness, records, engine, again, first_one
):
    with engine.connect() as first:
        again.within(first)
        with beside(lambda: harness.say("ticket_rollback")) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()

    expected = ["ticket_win", "ticket_win", "ticket_rollback"]
    assert records.notice_actions() == (
        expected if first_one == "commits" else ["ticket_win", "ticket_rollback"]
    )


def test_an_event_that_was_first_makes_it_wait(harness, records, engine, again, first_one):
    """H51: the rollback that nobody has seen yet is unfinished when the lock is free."""
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_rollback"))
        with beside(again) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            result = second.result()

    if first_one == "commits":
        assert isinstance(result, StillUnfinished)
        assert records.notice_actions() == ["ticket_win", "ticket_rollback"]
    else:
        assert records.notice_actions() == ["ticket_win", "ticket_win"]


def test_a_delivery_that_is_being_recorded_is_waited_for(
    harness, records, engine, again, first_one
):
    harness.say("ticket_rollback")
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.record_within(first, success)
        with beside(again) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            result = second.result()

    if first_one == "commits":
        assert isinstance(result, SentAgain)
        assert harness.deliver() == [("T", "ticket_win")]
        assert harness.deliver() == [("T", "ticket_rollback")]
    else:
        assert isinstance(result, StillUnfinished)


def test_a_second_deliverer_s_late_success_of_the_original_moves_no_repeat(
    harness, records, engine
):
    """It is still sending when the repeats are added: they wait until its lease is over."""
    harness.say("ticket_win")
    slow = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.wait(LEASE)
    quick = harness.claim_one()
    harness.record_attempts(slow)  # the lease of the other one goes on
    person = Asked(harness, records)
    with engine.connect() as first:
        person.within(first)
        with beside(lambda: harness.record(quick)) as second:
            waiting_sessions(engine)
            first.commit()
            second.result()

    assert [row.ended for row in records.notices()] == ["delivered", None]
    assert harness.claim() == []
    harness.wait(LEASE)
    assert harness.deliver() == [("T", "ticket_win")]


def test_two_people_at_once_send_it_again_once(harness, records, engine, again, first_one):
    with engine.connect() as first:
        again.within(first)
        with beside(again) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            result = second.result()

    expected = StillUnfinished if first_one == "commits" else SentAgain
    assert isinstance(result, expected)
    assert [row.repeat for row in records.notices()] == [0, 1]


def test_the_sweep_leaves_a_ticket_that_is_being_sent_again(harness, records, engine, again):
    harness.wait(CLOSE_DELAY)
    with engine.connect() as first:
        again.within(first)
        assert harness.close_due() == 0
        first.commit()

    assert harness.close_due() == 1
    assert records.notice_actions() == ["ticket_win", "ticket_win", "ticket_closed"]
    assert [row.head for row in records.notices()] == [False, True, False]


def test_a_closing_that_was_first_makes_it_wait(harness, records, engine, again, first_one):
    harness.wait(CLOSE_DELAY)
    with engine.connect() as first:
        assert harness.close_within(first) == 1
        with beside(again) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            result = second.result()

    expected = StillUnfinished if first_one == "commits" else SentAgain
    assert isinstance(result, expected)


def test_a_repeat_that_is_being_claimed_is_one_notice_among_others(harness, records, engine, again):
    """A claim holds the notice, not the ticket: an event goes on, and the sweep closes."""
    again()
    with engine.connect() as first:
        (claimed,) = harness.claim_within(first, {1: 1})
        harness.say("ticket_rollback")
        first.commit()
    harness.record(claimed)

    assert records.standing() == "open/pending"
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_a_ticket_that_retention_removes_meanwhile_is_said_to_be_gone(
    harness, records, engine, again
):
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.wait(timedelta(hours=1))
    with engine.connect() as first:
        assert remove_expired(first, before=harness.now, limit=10) == 1
        with beside(again) as second:
            waiting_sessions(engine)
            first.commit()
            result = second.result()

    assert "was removed meanwhile" in str(result)

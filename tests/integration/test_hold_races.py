"""A hold meets a delivery, a sweep or an event on one ticket: rule 23 with two real connections.

The first one's transaction is held open until the server says that the second one waits for it.
"""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from models.outbox.claim import LeaseTerms, claim_probes
from models.outbox.values import Attempt, Delivered, RetryLater
from models.triage import HoldRefused
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import CLOSE_DELAY, LEASE, SLIP, TOOK
from tests.support.records import Records

AGAIN = RetryLater(timedelta(minutes=2))


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


def end(connection: Connection, first_one: str) -> None:
    connection.commit() if first_one == "commits" else connection.rollback()


def heads(records: Records) -> list[bool]:
    return [row.head for row in records.notices()]


@pytest.fixture
def win(harness):
    """A ticket with two notices to send."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))


# --- a claim --------------------------------------------------------------------------------------
@pytest.mark.usefixtures("win")
def test_a_hold_waits_for_a_claim_under_way_and_says_so(harness, records, engine, first_one):
    with engine.connect() as first:
        assert len(harness.claim_within(first, {1: 1})) == 1
        with beside(harness.hold) as second:
            waiting_sessions(engine)
            end(first, first_one)
            held = second.result()

    assert held.in_flight == ("ticket_win" if first_one == "commits" else None)
    assert (heads(records), harness.claim()) == ([False, False], [])


@pytest.mark.usefixtures("win")
def test_a_claim_passes_over_a_ticket_that_is_being_held(harness, engine, first_one):
    with engine.connect() as first:
        harness.hold_within(first)
        assert harness.claim() == []
        end(first, first_one)

    assert len(harness.claim()) == (0 if first_one == "commits" else 1)


@pytest.mark.usefixtures("win")
def test_a_probe_passes_over_a_ticket_that_is_being_held(harness, engine, first_one):
    def probe() -> int:
        with engine.begin() as connection:
            return len(
                claim_probes(
                    connection,
                    now=harness.now,
                    lease=LeaseTerms(LEASE, timedelta()),
                    youngest={1: False},
                )
            )

    with engine.connect() as first:
        harness.hold_within(first)
        assert probe() == 0
        end(first, first_one)

    assert probe() == (0 if first_one == "commits" else 1)


# --- a record -------------------------------------------------------------------------------------
@pytest.mark.usefixtures("win")
def test_a_hold_during_the_record_of_a_success_takes_the_next_head(
    harness, records, engine, first_one
):
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.record_within(first, success)
        with beside(harness.hold) as second:
            waiting_sessions(engine)
            end(first, first_one)
            second.result()

    assert records.notice(1).ended == ("delivered" if first_one == "commits" else None)
    assert (heads(records), harness.claim()) == ([False, False], [])


@pytest.mark.usefixtures("win")
def test_a_success_recorded_while_the_ticket_is_being_held_makes_no_head(
    harness, records, engine, first_one
):
    """The fast path: its statement began before the hold was committed (E1)."""
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    with engine.connect() as first:
        harness.hold_within(first)
        with beside(lambda: harness.record_attempts(success)) as second:
            waiting_sessions(engine)
            end(first, first_one)
            recorded = second.result()

    assert records.notice(1).ended == "delivered"
    assert recorded.due == (first_one == "dies")
    assert heads(records) == [False, first_one == "dies"]


@pytest.mark.usefixtures("win")
def test_a_failure_recorded_while_the_ticket_is_being_held_makes_no_head(
    harness, records, engine, first_one
):
    failure = Attempt(harness.claim_one(), AGAIN, TOOK)
    with engine.connect() as first:
        harness.hold_within(first)
        with beside(lambda: harness.record_attempts(failure)) as second:
            waiting_sessions(engine)
            end(first, first_one)
            second.result()

    assert records.notice(1).ended is None
    assert heads(records) == [first_one == "dies", False]


@pytest.mark.usefixtures("win")
def test_a_success_recorded_while_the_ticket_is_released_moves_the_head_once(
    harness, records, engine, first_one
):
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.hold()
    with engine.connect() as first:
        harness.release_ticket_within(first)
        with beside(lambda: harness.record_attempts(success)) as second:
            waiting_sessions(engine)
            end(first, first_one)
            second.result()

    assert heads(records) == [False, first_one == "commits"]


@pytest.mark.usefixtures("win")
def test_a_release_during_the_record_of_a_success_finds_the_next_notice(
    harness, records, engine, first_one
):
    success = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.hold()
    with engine.connect() as first:
        harness.record_within(first, success)
        with beside(harness.release_ticket) as second:
            waiting_sessions(engine)
            end(first, first_one)
            released = second.result()

    if first_one == "commits":
        assert (released.next_action, heads(records)) == ("ticket_rollback", [False, True])
    else:
        assert (released.next_action, heads(records)) == ("ticket_win", [True, False])


# --- an event -------------------------------------------------------------------------------------
def test_an_event_applied_while_the_ticket_is_being_held_makes_no_head(
    harness, records, engine, first_one
):
    harness.say("ticket_open")
    with engine.connect() as first:
        harness.hold_within(first)
        with beside(lambda: harness.say("ticket_win")) as second:
            waiting_sessions(engine)
            end(first, first_one)
            second.result()

    assert heads(records) == [first_one == "dies"]


def test_a_hold_during_an_event_takes_its_head(harness, records, engine, first_one):
    harness.say("ticket_open")
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_win"))
        with beside(harness.hold) as second:
            waiting_sessions(engine)
            end(first, first_one)
            second.result()

    assert heads(records) == ([False] if first_one == "commits" else [])
    assert harness.claim() == []


def test_a_ticket_that_becomes_new_meanwhile_is_not_held(harness, records, engine):
    """Rule 10: the hold decides under the lock."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful")  # parked: its row is there
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_create", operator="careful", **SLIP))
        with beside(lambda: harness.hold(operator="careful")) as second:
            waiting_sessions(engine)
            first.commit()
            with pytest.raises(HoldRefused, match="is new"):
                second.result()

    assert records.ticket(operator="careful").on_hold_at is None
    assert len(harness.claim()) == 1


# --- the sweep ------------------------------------------------------------------------------------
@pytest.fixture
def due(harness):
    """A ticket that is due to be closed."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)


@pytest.mark.usefixtures("due")
def test_the_sweep_passes_over_a_ticket_that_is_being_held(harness, records, engine, first_one):
    with engine.connect() as first:
        harness.hold_within(first)
        assert harness.close_due() == 0
        end(first, first_one)

    assert harness.close_due() == (0 if first_one == "commits" else 1)
    assert records.ticket().unfinished == (0 if first_one == "commits" else 1)


@pytest.mark.usefixtures("due")
def test_a_hold_during_the_close_holds_what_is_to_be_sent_of_it(
    harness, records, engine, first_one
):
    with engine.connect() as first:
        assert harness.close_within(first) == 1
        with beside(harness.hold) as second:
            waiting_sessions(engine)
            end(first, first_one)
            held = second.result()

    closed = first_one == "commits"
    assert (held.status, held.unfinished) == (("closed/won", 1) if closed else ("resulted/won", 0))
    assert (harness.claim(), harness.close_due()) == ([], 0)


@pytest.mark.usefixtures("win")
def test_two_holds_at_once_are_one(harness, records, engine, first_one):
    with engine.connect() as first:
        harness.hold_within(first)
        with beside(harness.hold) as second:
            waiting_sessions(engine)
            end(first, first_one)
            if first_one == "commits":
                with pytest.raises(HoldRefused, match="on hold already"):
                    second.result()
            else:
                second.result()

    assert records.ticket().on_hold_at == harness.now

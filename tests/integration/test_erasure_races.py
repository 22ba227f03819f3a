"""Rule 25 against what is under way: two real connections meet on one ticket."""

import pytest
from sqlalchemy import text

from models.erasure import advance_erasure
from models.outbox.dead_letters import NotPossible
from models.outbox.send_again import send_again
from models.outbox.values import Attempt, Delivered, RetryLater, Unanswered
from models.vocabulary import ErasurePhase
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.erasing import PLAYER, advance, as_stored, begin, held, step
from tests.support.harness import CLOSE_DELAY, LEASE, SLIP, TOOK

OURS = {**SLIP, "player_id": PLAYER}
ANSWER = f'{{"player":"{PLAYER}"}}'
LOCK = text("SELECT id FROM ticket WHERE id = :id FOR NO KEY UPDATE")


@pytest.fixture
def closed(harness):
    """A ticket of the player that has ended; the second deliverer's call is still under way."""
    harness.say("ticket_open", event_id="open", **OURS)
    harness.say("ticket_win", event_id="win")
    frozen = harness.claim_one()
    harness.wait(LEASE)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    return frozen


@pytest.fixture(params=["commits", "dies"])
def first_one(request):
    """What becomes of the transaction that was first."""
    return request.param


def test_an_event_that_waits_for_the_erasure_is_stored_without_the_player(
    harness, records, engine, closed, first_one
):
    erasure = begin(harness)
    step(harness, erasure)  # finds the ticket
    late = harness.event("ticket_rollback", event_id="late", note=PLAYER)
    with engine.connect() as first:
        advance_erasure(first, erasure, now=harness.now, limit=100)
        with beside(lambda: harness.publish(late)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()
    advance(harness, erasure)

    assert records.event("late").outcome == "rejected"
    assert held(engine) == {}


def test_a_repeat_that_waits_for_the_erasure_is_a_duplicate(
    harness, records, engine, closed, first_one
):
    erasure = begin(harness)
    step(harness, erasure)
    with engine.connect() as first:
        advance_erasure(first, erasure, now=harness.now, limit=100)
        again = harness.event("ticket_open", event_id="open", **OURS)
        with beside(lambda: harness.publish(again)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            assert second.result().outcomes == {("ticket_open", "duplicate"): 1}

    assert records.event("open").repeats == 1
    assert records.rejected() == []


def test_a_batch_that_has_the_ticket_is_not_waited_for(harness, records, engine, closed, first_one):
    """The erasure passes by, so that no lock of another's holds it up."""
    erasure = begin(harness)
    late = harness.event("ticket_rollback", event_id="late", note=PLAYER)
    with engine.connect() as first:
        harness.apply_within(first, late)
        assert advance(harness, erasure).phase is ErasurePhase.WAITING
        assert records.ticket().erased_at is None
        first.commit() if first_one == "commits" else first.rollback()
    harness.wait(LEASE * 10)

    assert advance(harness, erasure).phase is ErasurePhase.DONE
    assert held(engine) == {}


@pytest.mark.parametrize("verdict", [RetryLater(TOOK), Unanswered(TOOK), Delivered()])
def test_a_late_answer_is_recorded_without_what_the_partner_wrote(
    harness, records, engine, closed, verdict
):
    """H60: another delivered it, the ticket closed and was erased meanwhile."""
    advance(harness, begin(harness))

    harness.record_attempts(
        Attempt(
            closed,
            verdict,
            TOOK,
            http_status=200 if isinstance(verdict, Delivered) else 500,
            answer=ANSWER,
            problem=PLAYER,
            remarks={"who": PLAYER},
        )
    )

    assert len(records.attempts()) == 3
    assert held(engine) == {}
    records.check()


def test_an_answer_that_waits_for_the_erasure_is_recorded_without_it(
    harness, engine, closed, first_one
):
    erasure = begin(harness)
    step(harness, erasure)
    late = Attempt(closed, RetryLater(TOOK), TOOK, http_status=500, answer=ANSWER)
    with engine.connect() as first:
        advance_erasure(first, erasure, now=harness.now, limit=100)
        with beside(lambda: harness.record_attempts(late)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()
    advance(harness, erasure)

    assert held(engine) == {}


def test_a_delivery_under_way_keeps_its_bytes_and_its_ticket_until_it_ends(
    harness, records, engine
):
    """H59: nothing that is still to be sent is blanked, and nothing is sent twice."""
    harness.say("ticket_create", **OURS)
    claim = harness.claim_one()
    erasure = begin(harness)

    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    assert PLAYER in claim.body
    harness.record(claim)
    harness.say("ticket_lost")
    assert harness.deliver() == [("T", "ticket_lost")]
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    assert advance(harness, erasure).phase is ErasurePhase.WAITING  # its closing is undelivered
    harness.deliver()
    harness.wait(LEASE * 10)
    assert advance(harness, erasure).phase is ErasurePhase.DONE
    assert records.standing() == "closed/lost"
    assert held(engine) == {}


def test_two_batches_of_one_erasure_do_its_work_once(harness, engine, closed, first_one):
    erasure = begin(harness)
    step(harness, erasure)
    with engine.connect() as first:
        advance_erasure(first, erasure, now=harness.now, limit=100)
        with beside(lambda: step(harness, erasure)) as second:
            waiting_sessions(engine)
            first.commit() if first_one == "commits" else first.rollback()
            second.result()
    advance(harness, erasure)

    assert as_stored(engine, erasure).counts["tickets"] == 1
    assert held(engine) == {}


def test_what_was_erased_is_not_sent_again(harness, records, engine, closed):
    """Whichever of the two acts has the ticket first, the other sees what it did."""
    advance(harness, begin(harness))

    with (
        pytest.raises(NotPossible, match="its body was erased with the player's data"),
        engine.begin() as connection,
    ):
        send_again(connection, closed.notice, now=harness.now)

    assert records.ticket().unfinished == 0


def test_what_the_partner_said_as_it_took_a_notice_is_blanked(harness, records, engine):
    """Its notice keeps the call, which has no row of its own."""
    harness.say("ticket_open", event_id="open", **OURS)
    harness.say("ticket_win", event_id="win")
    claim, remarks = harness.claim_one(), {"who": PLAYER}
    harness.record_attempts(
        Attempt(claim, Delivered(), TOOK, http_status=200, answer=ANSWER, remarks=remarks)
    )
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    assert {"notice.answer", "notice.remarks"} <= set(held(engine))

    advance(harness, begin(harness))

    assert held(engine) == {}
    assert records.notice(1).http_status == 200

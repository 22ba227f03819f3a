"""Late answers, lost leases and answers that never came (rules 14 and 15)."""

from datetime import timedelta

import pytest

from models.outbox.values import Dead, Delivered, RetryLater, Unanswered
from tests.support.desk import LEASE, PARTNER_GRACE, Desk

SECOND = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)
FAILURES = [RetryLater(PAUSE), Unanswered(PAUSE), Dead("409 Conflict")]


@pytest.fixture
def lost_lease(desk):
    """A win and its rollback; the claim of the win is lost, and another deliverer has it."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    lost = desk.claim_one()
    desk.wait(LEASE)
    return lost, desk.claim_one()


def test_a_late_success_counts_and_its_follower_waits_for_the_other_lease(desk, books, lost_lease):
    """Rule 14, protocol H33 to H35: the other deliverer may still be sending it."""
    lost, owned = lost_lease
    desk.wait(SECOND)
    assert not desk.record(lost).due
    assert books.notice(1).ended == "delivered"

    desk.wait(LEASE - 2 * SECOND)
    while_leased = desk.claim()
    desk.wait(SECOND)

    assert while_leased == []
    assert desk.deliver() == [("T", "ticket_rollback")]
    assert owned.number == 2


@pytest.mark.parametrize("verdict", [*FAILURES, Delivered()], ids=repr)
def test_what_the_other_one_records_after_a_late_success_changes_nothing(
    desk, books, lost_lease, verdict
):
    """Protocol H33: its 409 must not kill what the partner has taken."""
    lost, owned = lost_lease
    desk.record(lost)
    before = books.ticket(), books.notices()
    desk.wait(SECOND)
    desk.record(owned, verdict)

    assert (books.ticket(), books.notices()) == before
    assert [row.claim for row in books.attempts()] == [1, 2]


@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_a_failure_without_the_token_changes_nothing(desk, books, lost_lease, verdict):
    """Rule 14: the notice is somebody else's now."""
    lost, owned = lost_lease
    before = books.ticket(), books.notices()
    desk.record(lost, verdict)
    assert (books.ticket(), books.notices()) == before
    assert len(books.attempts()) == 1

    desk.record(owned)

    assert books.notice(1).ended == "delivered"


def test_a_late_success_counts_although_the_lease_was_lost_to_nobody(desk, books):
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    claim = desk.claim_one()
    desk.wait(10 * LEASE)
    assert desk.record(claim).due

    assert desk.deliver() == [("T", "ticket_rollback")]
    assert books.notice(1).ended == "delivered"


def test_a_late_success_counts_after_the_other_one_has_failed(desk, books, lost_lease):
    lost, owned = lost_lease
    desk.record(owned, RetryLater(timedelta(hours=2)))
    assert desk.record(lost).due

    assert books.notice(1).ended == "delivered"
    assert desk.deliver() == [("T", "ticket_rollback")]


def test_a_late_success_brings_a_dead_notice_back_to_life(desk, books, lost_lease):
    """Rule 14: success counts while the notice is unfinished or dead."""
    lost, owned = lost_lease
    desk.record(owned, Dead("409 Conflict"))
    assert desk.claim() == []
    assert desk.record(lost).due

    assert books.notice(1).ended == "delivered"
    assert desk.deliver() == [("T", "ticket_rollback")]


def test_after_an_attempt_without_an_answer_nothing_is_sent_for_ten_seconds(desk, books):
    """Rule 15: whatever pause was asked for."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    desk.deliver(Unanswered(SECOND))
    assert books.notice(1).perhaps_delivered

    _assert_quiet(desk, PARTNER_GRACE)

    assert desk.deliver() == [("T", "ticket_win")]
    assert desk.deliver() == [("T", "ticket_rollback")]  # the grace was over before


def test_a_longer_pause_than_the_grace_is_kept(desk):
    """Rule 15: the grace only adds."""
    desk.say("ticket_win")
    desk.deliver(Unanswered(PAUSE))

    _assert_quiet(desk, PAUSE)

    assert desk.deliver() == [("T", "ticket_win")]


def test_a_late_success_does_not_shorten_the_grace_for_the_follower(desk, lost_lease):
    """Rules 14 and 15: the other one's attempt had no answer and may still be at work."""
    lost, owned = lost_lease
    desk.record(owned, Unanswered(PAUSE))
    desk.wait(SECOND)
    assert not desk.record(lost).due

    _assert_quiet(desk, PARTNER_GRACE - SECOND)

    assert desk.deliver() == [("T", "ticket_rollback")]


def test_what_arrives_after_a_late_success_waits_for_the_other_lease_too(desk):
    """Rules 14 and 15: nothing is sent on that ticket, nor what is owed only now."""
    desk.say("ticket_win")
    lost = desk.claim_one()
    desk.wait(LEASE)
    desk.claim()
    desk.record(lost)
    desk.say("ticket_rollback")

    _assert_quiet(desk, LEASE)

    assert desk.deliver() == [("T", "ticket_rollback")]


def test_a_close_waits_for_the_other_lease_too(desk, books):
    """The same where the delay is shorter than a lease."""
    desk.add_operator("quick", close_delay=SECOND)
    desk.say("ticket_win", operator="quick")
    lost = desk.claim_one()
    desk.wait(LEASE)
    desk.claim()
    desk.record(lost)
    desk.wait(SECOND)
    desk.close_due()

    assert books.standing(operator="quick") == "closed/won"
    _assert_quiet(desk, LEASE - SECOND)

    assert desk.deliver() == [("T", "ticket_closed")]


def _assert_quiet(desk: Desk, how_long: timedelta) -> None:
    """Nothing can be claimed before *how_long* has passed."""
    desk.wait(how_long - timedelta(microseconds=1))
    assert desk.claim() == []
    desk.wait(timedelta(microseconds=1))

"""Late responses, lost leases and responses that never came (rules 14 and 15)."""

from datetime import timedelta

import pytest

from models.outbox.values import Dead, Delivered, RetryLater, Unanswered
from tests.support.harness import LEASE, PARTNER_GRACE, Harness

SECOND = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)
FAILURES = [RetryLater(PAUSE), Unanswered(PAUSE), Dead("409 Conflict")]


@pytest.fixture
def lost_lease(harness):
    """A win and its rollback; the claim of the win is lost, and another deliverer has it."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    lost = harness.claim_one()
    harness.wait(LEASE)
    return lost, harness.claim_one()


def test_a_late_success_counts_and_its_follower_waits_for_the_other_lease(
    harness, records, lost_lease
):
    """Rule 14, H33 to H35: the other deliverer may still be sending it."""
    lost, owned = lost_lease
    harness.wait(SECOND)
    assert not harness.record(lost).due
    assert records.notice(1).ended == "delivered"

    harness.wait(LEASE - 2 * SECOND)
    while_leased = harness.claim()
    harness.wait(SECOND)

    assert while_leased == []
    assert harness.deliver() == [("T", "ticket_rollback")]
    assert owned.number == 2


@pytest.mark.parametrize("verdict", [*FAILURES, Delivered()], ids=repr)
def test_what_the_other_one_records_after_a_late_success_changes_nothing(
    harness, records, lost_lease, verdict
):
    """H33: its 409 must not kill what the partner has taken."""
    lost, owned = lost_lease
    harness.record(lost)
    before = records.ticket(), records.notices()
    harness.wait(SECOND)
    harness.record(owned, verdict)

    assert (records.ticket(), records.notices()) == before
    assert [row.claim for row in records.attempts()] == [1, 2]


@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_a_failure_without_the_token_changes_nothing(harness, records, lost_lease, verdict):
    """Rule 14: the notice belongs to another deliverer now."""
    lost, owned = lost_lease
    before = records.ticket(), records.notices()
    harness.record(lost, verdict)
    assert (records.ticket(), records.notices()) == before
    assert len(records.attempts()) == 1

    harness.record(owned)

    assert records.notice(1).ended == "delivered"


def test_a_late_success_counts_although_no_other_deliverer_has_the_lease(harness, records):
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    claim = harness.claim_one()
    harness.wait(10 * LEASE)
    assert harness.record(claim).due

    assert harness.deliver() == [("T", "ticket_rollback")]
    assert records.notice(1).ended == "delivered"


def test_a_late_success_counts_after_the_other_one_has_failed(harness, records, lost_lease):
    lost, owned = lost_lease
    harness.record(owned, RetryLater(timedelta(hours=2)))
    assert harness.record(lost).due

    assert records.notice(1).ended == "delivered"
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_a_late_success_brings_a_dead_notice_back_to_life(harness, records, lost_lease):
    """Rule 14: success counts while the notice is unfinished or dead."""
    lost, owned = lost_lease
    harness.record(owned, Dead("409 Conflict"))
    assert harness.claim() == []
    assert harness.record(lost).due

    assert records.notice(1).ended == "delivered"
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_after_an_attempt_without_an_answer_nothing_is_sent_for_ten_seconds(harness, records):
    """Rule 15: whatever pause the partner asked for."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    harness.deliver(Unanswered(SECOND))
    assert records.notice(1).perhaps_delivered

    _assert_quiet(harness, PARTNER_GRACE)

    assert harness.deliver() == [("T", "ticket_win")]
    assert harness.deliver() == [("T", "ticket_rollback")]  # the grace was over before


def test_a_longer_pause_than_the_grace_is_kept(harness):
    """Rule 15: the grace only adds."""
    harness.say("ticket_win")
    harness.deliver(Unanswered(PAUSE))

    _assert_quiet(harness, PAUSE)

    assert harness.deliver() == [("T", "ticket_win")]


def test_a_late_success_does_not_shorten_the_grace_for_the_follower(harness, lost_lease):
    """Rules 14 and 15: the other attempt had no response and may still be at work."""
    lost, owned = lost_lease
    harness.record(owned, Unanswered(PAUSE))
    harness.wait(SECOND)
    assert not harness.record(lost).due

    _assert_quiet(harness, PARTNER_GRACE - SECOND)

    assert harness.deliver() == [("T", "ticket_rollback")]


def test_what_arrives_after_a_late_success_waits_for_the_other_lease_too(harness):
    """Rules 14 and 15: nothing is sent on that ticket, nor what is due only now."""
    harness.say("ticket_win")
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.claim()
    harness.record(lost)
    harness.say("ticket_rollback")

    _assert_quiet(harness, LEASE)

    assert harness.deliver() == [("T", "ticket_rollback")]


def test_a_close_waits_for_the_other_lease_too(harness, records):
    """The same where the delay is shorter than a lease."""
    harness.add_operator("quick", close_delay=SECOND)
    harness.say("ticket_win", operator="quick")
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.claim()
    harness.record(lost)
    harness.wait(SECOND)
    harness.close_due()

    assert records.standing(operator="quick") == "closed/won"
    _assert_quiet(harness, LEASE - SECOND)

    assert harness.deliver() == [("T", "ticket_closed")]


def _assert_quiet(harness: Harness, how_long: timedelta) -> None:
    """Nothing can be claimed before *how_long* has passed."""
    harness.wait(how_long - timedelta(microseconds=1))
    assert harness.claim() == []
    harness.wait(timedelta(microseconds=1))

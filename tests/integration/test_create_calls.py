"""Create and reserve are sent at most once; all but a 200 cancels and discards (rule 10)."""

from datetime import timedelta

import pytest

from models.outbox.record import DISCARD_AGAIN_AFTER
from models.outbox.values import Dead, RetryLater, Unanswered
from tests.support.harness import CREATE_AGE_MAX, LEASE, PARTNER_GRACE, SLIP

MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)
FAILURES = [Dead("402 Payment Required"), RetryLater(PAUSE), Unanswered(PAUSE)]
DISCARD = [("T", "ticket_discard")]


both = pytest.mark.parametrize("action", ["ticket_create", "ticket_reserve"])


@pytest.fixture
def action():
    """What asks the partner to debit; `both` asks for a reserve, too."""
    return "ticket_create"


@pytest.fixture
def create(harness, action):
    """A create in flight."""
    harness.say(action, **SLIP)
    return harness.claim_one()


@both
def test_a_create_waits_for_the_partner(harness, records, action):
    harness.say(action, **SLIP)

    assert records.standing() == "new/pending"
    assert harness.deliver() == [("T", action)]


@pytest.mark.parametrize(
    ("action", "standing"), [("ticket_create", "open"), ("ticket_reserve", "reserved")]
)
def test_200_opens_or_reserves_the_ticket(harness, records, create, standing):
    harness.record(create)

    assert records.standing() == f"{standing}/pending"
    assert harness.claim() == []


def test_what_waited_for_the_answer_is_decided_with_it(harness, records, create):
    """Rules 5 and 13, H18: in the transaction that records the 200."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    assert records.ticket().parked == 2

    assert harness.record(create).due

    assert records.outcomes()[1:] == [("ticket_win", "applied"), ("ticket_rollback", "applied")]
    assert records.notice_actions() == ["ticket_create", "ticket_win", "ticket_rollback"]


@pytest.mark.parametrize("action", ["ticket_reserve"])
def test_a_reserved_ticket_is_opened_by_its_payment(harness, records, create):
    harness.publish(harness.event("ticket_win", event_id="win"), harness.event("ticket_paid"))
    harness.record(create)

    assert records.standing() == "resulted/won"
    assert records.notice_actions() == ["ticket_reserve", "ticket_win"]


@both
@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_all_but_200_cancels_and_discards(harness, records, create, verdict):
    harness.say("ticket_win", event_id="win")
    harness.record(create, verdict)

    assert records.standing() == "cancelled/pending"
    assert records.notice(1).ended == "refused"
    assert records.event("win").reason == "ticket_cancelled"  # answered at once: rule 7
    harness.wait(PARTNER_GRACE)
    assert harness.deliver() == DISCARD


@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_it_is_never_sent_again(harness, create, verdict):
    """H24: a second debit, unless the partner deduplicates."""
    harness.record(create, verdict)
    sent = []
    for _ in range(6):
        harness.wait(DISCARD_AGAIN_AFTER)
        harness.abandon_creates()
        sent += harness.deliver()

    assert {action for _, action in sent} == {"ticket_discard"}


def test_the_discard_waits_out_the_grace_after_an_unanswered_create(harness, create):
    """Rule 15, H25: it must not overtake a create that is still at work."""
    harness.record(create, Unanswered(PAUSE))
    harness.wait(PARTNER_GRACE - MOMENT)
    early = harness.claim()
    harness.wait(MOMENT)

    assert early == []
    assert harness.deliver() == DISCARD


def test_after_an_unknown_outcome_a_second_discard_follows_the_first_success(
    harness, records, create
):
    """Rule 10, H25: 30 min after the success, however late that was; then no third."""
    harness.record(create, Unanswered(PAUSE))
    harness.wait(PARTNER_GRACE)
    harness.deliver(RetryLater(DISCARD_AGAIN_AFTER))
    harness.wait(DISCARD_AGAIN_AFTER)
    assert harness.deliver() == DISCARD

    harness.wait(DISCARD_AGAIN_AFTER - MOMENT)
    early = harness.claim()
    harness.wait(MOMENT)
    (second,) = harness.claim()
    harness.record(second)

    assert early == []
    assert (second.action, second.generation, second.number) == ("ticket_discard", 1, 1)
    assert second.body == records.notice(2).body  # contracts 1.6: the same call again
    harness.wait(10 * DISCARD_AGAIN_AFTER)
    assert harness.claim() == []


def test_after_a_refusal_one_discard_is_enough(harness, records, create):
    harness.record(create, Dead("402 Payment Required"))
    harness.deliver()
    harness.wait(10 * DISCARD_AGAIN_AFTER)

    assert harness.claim() == []
    assert len(records.notices()) == 2
    assert "the_partner_refused_it" in records.notice(2).body.replace("-", "_")


@both
def test_a_lost_lease_is_an_unknown_outcome(harness, records, create):
    """H24: it is never claimed again; the sweep cancels it."""
    harness.wait(LEASE - MOMENT)
    early = harness.abandon_creates()
    harness.wait(MOMENT)

    assert harness.claim() == []
    assert (early, harness.abandon_creates(), harness.abandon_creates()) == (0, 1, 0)
    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == DISCARD
    harness.wait(DISCARD_AGAIN_AFTER)
    assert harness.deliver() == DISCARD
    assert create.number == 1


def test_a_late_200_does_not_open_what_was_cancelled(harness, records, create):
    """H26: success counts only while the ticket is new."""
    harness.wait(LEASE)
    harness.abandon_creates()
    harness.record(create)

    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == DISCARD
    assert [row.verdict for row in records.attempts()] == ["delivered", "delivered"]


@pytest.mark.parametrize(
    ("action", "standing"), [("ticket_create", "open"), ("ticket_reserve", "reserved")]
)
def test_a_late_200_counts_while_the_ticket_is_not_cancelled(harness, records, create, standing):
    harness.wait(10 * LEASE)
    harness.record(create)

    assert records.standing() == f"{standing}/pending"
    assert harness.abandon_creates() == 0


@both
def test_what_is_unsent_for_sixty_seconds_is_never_sent(harness, records, action):
    """Rule 10, H27: a circuit was open, or no deliverer was there."""
    harness.say(action, **SLIP)
    harness.wait(CREATE_AGE_MAX - MOMENT)
    early = harness.abandon_creates()
    harness.wait(MOMENT)

    assert harness.claim() == []
    assert (early, harness.abandon_creates()) == (0, 1)
    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == DISCARD
    harness.wait(DISCARD_AGAIN_AFTER)
    assert harness.claim() == []  # nothing was sent, so nothing is in doubt
    assert records.ticket().cancelled_by == f"{action}: unsent for too long"


def test_a_create_that_was_claimed_and_given_back_grows_old_like_any_other(harness, create):
    harness.wait(LEASE / 2)
    harness.release(create)
    harness.wait(CREATE_AGE_MAX)

    assert harness.claim() == []
    assert harness.abandon_creates() == 1
    assert harness.deliver() == DISCARD


def test_a_young_create_may_be_claimed_to_the_last_moment(harness, action):
    harness.say(action, **SLIP)
    harness.wait(CREATE_AGE_MAX - MOMENT)

    assert harness.claim_one().action == action


def test_the_sweep_gives_up_no_more_than_its_limit_and_the_oldest_first(harness, records):
    for number in range(3):
        harness.say("ticket_create", f"T{number}", **SLIP)
        harness.wait(SECOND)
    harness.wait(CREATE_AGE_MAX)

    assert harness.abandon_creates(limit=2) == 2
    assert [records.ticket(f"T{n}").status for n in range(3)] == ["cancelled", "cancelled", "new"]


@both
def test_a_late_create_is_rejected_and_the_partner_is_not_called(harness, records, action):
    """Rule 11, H28: a result opened the ticket before."""
    harness.say("ticket_win")
    harness.say(action, event_id="late", **SLIP)

    late = records.event("late")
    assert (late.outcome, late.reason) == ("rejected", "already_known")
    assert records.notice_actions() == ["ticket_win"]

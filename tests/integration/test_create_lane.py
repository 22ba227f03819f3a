"""Create and reserve are sent at most once; all but a 200 cancels and discards (rule 10)."""

from datetime import timedelta

import pytest

from models.outbox.record import DISCARD_AGAIN_AFTER
from models.outbox.values import Dead, RetryLater, Unanswered
from tests.support.desk import CREATE_AGE_MAX, LEASE, PARTNER_GRACE, SLIP

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
def create(desk, action):
    """A create in flight."""
    desk.say(action, **SLIP)
    return desk.claim_one()


@both
def test_a_create_waits_for_the_partner(desk, books, action):
    desk.say(action, **SLIP)

    assert books.standing() == "new/pending"
    assert desk.deliver() == [("T", action)]


@pytest.mark.parametrize(
    ("action", "standing"), [("ticket_create", "open"), ("ticket_reserve", "reserved")]
)
def test_200_opens_or_reserves_the_ticket(desk, books, create, standing):
    desk.record(create)

    assert books.standing() == f"{standing}/pending"
    assert desk.claim() == []


def test_what_waited_for_the_answer_is_decided_with_it(desk, books, create):
    """Rules 5 and 13, protocol H18: in the transaction that records the 200."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    assert books.ticket().parked == 2

    assert desk.record(create).due

    assert books.outcomes()[1:] == [("ticket_win", "applied"), ("ticket_rollback", "applied")]
    assert books.owed() == ["ticket_create", "ticket_win", "ticket_rollback"]


@pytest.mark.parametrize("action", ["ticket_reserve"])
def test_a_reserved_ticket_is_opened_by_its_payment(desk, books, create):
    desk.publish(desk.event("ticket_win", event_id="win"), desk.event("ticket_paid"))
    desk.record(create)

    assert books.standing() == "resulted/won"
    assert books.owed() == ["ticket_reserve", "ticket_win"]


@both
@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_all_but_200_cancels_and_discards(desk, books, create, verdict):
    desk.say("ticket_win", event_id="win")
    desk.record(create, verdict)

    assert books.standing() == "cancelled/pending"
    assert books.notice(1).ended == "refused"
    assert books.event("win").reason == "ticket_cancelled"  # answered at once: rule 7
    desk.wait(PARTNER_GRACE)
    assert desk.deliver() == DISCARD


@pytest.mark.parametrize("verdict", FAILURES, ids=repr)
def test_it_is_never_sent_again(desk, create, verdict):
    """Protocol H24: a second debit, unless the partner deduplicates."""
    desk.record(create, verdict)
    sent = []
    for _ in range(6):
        desk.wait(DISCARD_AGAIN_AFTER)
        desk.abandon_creates()
        sent += desk.deliver()

    assert {told for _, told in sent} == {"ticket_discard"}


def test_the_discard_waits_out_the_grace_after_an_unanswered_create(desk, create):
    """Rule 15, protocol H25: it must not overtake a create that is still at work."""
    desk.record(create, Unanswered(PAUSE))
    desk.wait(PARTNER_GRACE - MOMENT)
    early = desk.claim()
    desk.wait(MOMENT)

    assert early == []
    assert desk.deliver() == DISCARD


def test_after_an_unknown_outcome_a_second_discard_follows_the_first_success(desk, books, create):
    """Rule 10, protocol H25: 30 min after the success, however late that was; then no third."""
    desk.record(create, Unanswered(PAUSE))
    desk.wait(PARTNER_GRACE)
    desk.deliver(RetryLater(DISCARD_AGAIN_AFTER))
    desk.wait(DISCARD_AGAIN_AFTER)
    assert desk.deliver() == DISCARD

    desk.wait(DISCARD_AGAIN_AFTER - MOMENT)
    early = desk.claim()
    desk.wait(MOMENT)
    (second,) = desk.claim()
    desk.record(second)

    assert early == []
    assert (second.action, second.generation, second.number) == ("ticket_discard", 1, 1)
    assert second.body == books.notice(2).body  # contracts 1.6: the same call again
    desk.wait(10 * DISCARD_AGAIN_AFTER)
    assert desk.claim() == []


def test_after_a_refusal_one_discard_is_enough(desk, books, create):
    desk.record(create, Dead("402 Payment Required"))
    desk.deliver()
    desk.wait(10 * DISCARD_AGAIN_AFTER)

    assert desk.claim() == []
    assert len(books.notices()) == 2
    assert "the_partner_refused_it" in books.notice(2).body.replace("-", "_")


@both
def test_a_lost_lease_is_an_unknown_outcome(desk, books, create):
    """Protocol H24: nobody claims it again; the sweep cancels it."""
    desk.wait(LEASE - MOMENT)
    early = desk.abandon_creates()
    desk.wait(MOMENT)

    assert desk.claim() == []
    assert (early, desk.abandon_creates(), desk.abandon_creates()) == (0, 1, 0)
    assert books.standing() == "cancelled/pending"
    assert desk.deliver() == DISCARD
    desk.wait(DISCARD_AGAIN_AFTER)
    assert desk.deliver() == DISCARD
    assert create.number == 1


def test_a_late_200_does_not_open_what_was_cancelled(desk, books, create):
    """Protocol H26: success counts only while the ticket is new."""
    desk.wait(LEASE)
    desk.abandon_creates()
    desk.record(create)

    assert books.standing() == "cancelled/pending"
    assert desk.deliver() == DISCARD
    assert [row.verdict for row in books.attempts()] == ["delivered", "delivered"]


@pytest.mark.parametrize(
    ("action", "standing"), [("ticket_create", "open"), ("ticket_reserve", "reserved")]
)
def test_a_late_200_counts_while_nobody_has_cancelled(desk, books, create, standing):
    desk.wait(10 * LEASE)
    desk.record(create)

    assert books.standing() == f"{standing}/pending"
    assert desk.abandon_creates() == 0


@both
def test_what_is_unsent_for_sixty_seconds_is_never_sent(desk, books, action):
    """Rule 10, protocol H27: a circuit was open, or no deliverer was there."""
    desk.say(action, **SLIP)
    desk.wait(CREATE_AGE_MAX - MOMENT)
    early = desk.abandon_creates()
    desk.wait(MOMENT)

    assert desk.claim() == []
    assert (early, desk.abandon_creates()) == (0, 1)
    assert books.standing() == "cancelled/pending"
    assert desk.deliver() == DISCARD
    desk.wait(DISCARD_AGAIN_AFTER)
    assert desk.claim() == []  # nothing was sent, so nothing is in doubt
    assert books.ticket().cancelled_by == f"{action}: unsent for too long"


def test_a_create_that_was_claimed_and_given_back_grows_old_like_any_other(desk, create):
    desk.wait(LEASE / 2)
    desk.release(create)
    desk.wait(CREATE_AGE_MAX)

    assert desk.claim() == []
    assert desk.abandon_creates() == 1
    assert desk.deliver() == DISCARD


def test_a_young_create_may_be_claimed_to_the_last_moment(desk, action):
    desk.say(action, **SLIP)
    desk.wait(CREATE_AGE_MAX - MOMENT)

    assert desk.claim_one().action == action


def test_the_sweep_gives_up_no_more_than_its_limit_and_the_oldest_first(desk, books):
    for number in range(3):
        desk.say("ticket_create", f"T{number}", **SLIP)
        desk.wait(SECOND)
    desk.wait(CREATE_AGE_MAX)

    assert desk.abandon_creates(limit=2) == 2
    assert [books.ticket(f"T{n}").status for n in range(3)] == ["cancelled", "cancelled", "new"]


@both
def test_a_late_create_is_rejected_and_the_partner_is_not_asked(desk, books, action):
    """Rule 11, protocol H28: a result opened the ticket before."""
    desk.say("ticket_win")
    desk.say(action, event_id="late", **SLIP)

    late = books.event("late")
    assert (late.outcome, late.reason) == ("rejected", "already_known")
    assert books.owed() == ["ticket_win"]

"""Two deliverers, one partner, real HTTP: the timing that the rules require, to the millisecond.

Each test names its rule (models/lifecycle/RULES.md). The slow deliverer waits for a slow partner;
its lease runs out because the clock is moved meanwhile. What does not depend on exact timing is
shown by two processes, in tests/acceptance/test_two_deliver_processes.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from producers.simulation.partner import CloseWithoutAnswer
from tests.support.delivery_setup import LATE
from tests.support.two_deliverers import TIMEOUT, TwoDeliverers, two_deliverers_on

MARGIN = timedelta(seconds=20)
LEASE = TIMEOUT + MARGIN
OWN_TIMEOUT = TIMEOUT + timedelta(seconds=25)
GRACE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=1)
CLOSE_DELAY = timedelta(hours=24)
ONE_DELIVERED = {"claimed": 1, "delivered": 1}


@pytest.fixture
def two_deliverers(delivery, partner) -> Iterator[TwoDeliverers]:
    with two_deliverers_on(delivery, partner) as made:
        yield made


def test_rule_14_a_409_to_the_repeat_changes_nothing_after_a_late_200_but_its_lease_is_waited_for(
    two_deliverers, clock
):
    """H33 and H35: the other one had no response yet when the first one recorded."""
    two_deliverers.publish("win", "rollback")
    two_deliverers.answers(LATE, replace(LATE, status=409))
    first = two_deliverers.start(0, requests=1)
    clock.advance(LEASE)
    second = two_deliverers.start(1, requests=2)
    two_deliverers.answer(first)
    assert two_deliverers.ends() == ["delivered", None]
    two_deliverers.answer(second)

    assert two_deliverers.ends() == ["delivered", None]
    verdicts = two_deliverers.delivery.attempts("verdict")
    assert [row.verdict for row in verdicts] == ["delivered", "dead"]
    clock.advance(LEASE - MOMENT)  # the other one may still have been sending
    assert two_deliverers.run(0) == {}
    clock.advance(MOMENT)
    assert two_deliverers.run(1) == ONE_DELIVERED
    assert two_deliverers.sent() == ["win", "win", "rollback"]


def test_rule_14_a_call_with_a_long_timeout_of_its_partner_is_not_made_twice(two_deliverers, clock):
    """It may take longer than the lease of all others, by the clock of both deliverers."""
    two_deliverers.delivery.change("UPDATE operator SET timeout = :own", own=OWN_TIMEOUT)
    two_deliverers.publish("win", "rollback")
    two_deliverers.answers(LATE)
    first = two_deliverers.start(0, requests=1)
    clock.advance(LEASE)
    after_the_others_lease = two_deliverers.run(1)
    clock.advance(OWN_TIMEOUT + MARGIN - LEASE - MOMENT)
    within_its_own = two_deliverers.run(1)

    assert two_deliverers.answer(first) == {"claimed": 2, "delivered": 2}
    assert (after_the_others_lease, within_its_own) == ({}, {})
    assert two_deliverers.sent() == ["win", "rollback"]
    assert two_deliverers.ends() == ["delivered", "delivered"]


def test_rule_14_a_timeout_that_is_changed_changes_no_call_that_is_under_way(two_deliverers, clock):
    two_deliverers.delivery.change("UPDATE operator SET timeout = :own", own=OWN_TIMEOUT)
    two_deliverers.publish("win")
    two_deliverers.answers(LATE)
    first = two_deliverers.start(0, requests=1)
    two_deliverers.delivery.change("UPDATE operator SET timeout = NULL")
    clock.advance(OWN_TIMEOUT + MARGIN - MOMENT)

    assert two_deliverers.run(1) == {}
    assert two_deliverers.answer(first) == ONE_DELIVERED


def test_rule_14_a_deliverer_that_died_in_a_long_call_is_waited_for_and_no_longer(
    two_deliverers, clock
):
    two_deliverers.delivery.change("UPDATE operator SET timeout = :own", own=OWN_TIMEOUT)
    two_deliverers.publish("win")
    two_deliverers.answers(LATE)
    first = two_deliverers.start(0, requests=1)
    clock.advance(OWN_TIMEOUT + MARGIN)

    assert two_deliverers.run(1) == ONE_DELIVERED
    two_deliverers.answer(first)
    assert two_deliverers.sent() == ["win", "win"]


def test_rule_15_after_a_lost_answer_nothing_is_sent_on_the_ticket_for_ten_seconds(
    two_deliverers, clock
):
    """By no deliverer. Then the same again, and its follower at once: the grace is over."""
    two_deliverers.publish("win", "rollback")
    two_deliverers.answers(CloseWithoutAnswer(taken=True))
    assert two_deliverers.run(0) == {"claimed": 1, "unanswered": 1}
    clock.advance(GRACE - MOMENT)
    early = two_deliverers.run(0) | two_deliverers.run(1)

    clock.advance(MOMENT)

    assert early == {}
    assert two_deliverers.run(1) == {"claimed": 2, "delivered": 2}
    assert two_deliverers.sent() == ["win", "win", "rollback"]
    first, repeat, _ = two_deliverers.partner.ledger.entries()
    assert first.taken
    assert repeat.repeats
    assert repeat.body == first.body


def test_rule_15_what_is_published_after_a_late_200_is_held_for_the_ten_seconds_too(
    two_deliverers, clock
):
    """Since the other one's lost response: its time is on the ticket (decision 0006)."""
    two_deliverers.publish("win")
    two_deliverers.answers(LATE, CloseWithoutAnswer())
    first = two_deliverers.start(0, requests=1)
    clock.advance(LEASE)
    two_deliverers.start(1, requests=2).result()
    two_deliverers.answer(first)
    two_deliverers.publish("rollback")
    clock.advance(GRACE - MOMENT)
    early = two_deliverers.run(0) | two_deliverers.run(1)

    clock.advance(MOMENT)

    assert early == {}
    assert two_deliverers.run(1) == ONE_DELIVERED
    assert two_deliverers.sent() == ["win", "win", "rollback"]


def test_rule_16_the_clock_runs_from_a_late_200_if_the_repeat_s_is_recorded_later(
    two_deliverers, clock
):
    two_deliverers.publish("win")
    two_deliverers.answers(LATE, LATE)
    first = two_deliverers.start(0, requests=1)
    clock.advance(LEASE)
    second = two_deliverers.start(1, requests=2)
    two_deliverers.answer(first)
    recorded_at = clock.now()
    clock.advance(timedelta(seconds=5))
    two_deliverers.answer(second)

    (ticket,) = two_deliverers.delivery.rows("SELECT close_due_at FROM ticket")
    assert ticket.close_due_at == recorded_at + CLOSE_DELAY

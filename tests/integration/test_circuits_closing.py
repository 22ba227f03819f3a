"""When a partner's probe succeeds all that waits for it is due at once, and what must wait does.

See decision 0008.
"""

from datetime import timedelta

import pytest

from models.outbox.values import RetryLater
from tests.support.deliverers import AGAIN, UNANSWERED, Deliverer, add_due, lock_out
from tests.support.harness import LEASE, PARTNER_GRACE

SECOND = timedelta(seconds=1)
INTERVAL = timedelta(seconds=15)
HOUR = timedelta(hours=1)


@pytest.fixture
def deliverer(harness) -> Deliverer:
    return Deliverer(harness)


@pytest.fixture
def locked_out(deliverer) -> list[str]:
    """36 tickets whose partner answers 401; its circuit was opened a moment ago."""
    return lock_out(deliverer)


def test_after_it_closed_the_time_it_was_open_is_not_counted(harness, deliverer):
    add_due(harness, 2)
    deliverer.deliver(RetryLater(HOUR), 503)
    harness.wait(HOUR)
    deliverer.deliver(RetryLater(2 * HOUR), 403)
    harness.wait(72 * HOUR)
    (probe,) = deliverer.claim()
    deliverer.answer([probe])

    (waiting,) = deliverer.claim()

    assert harness.now - waiting.first_tried_at == HOUR


def test_when_the_probe_succeeds_all_that_waits_is_due_at_once(harness, deliverer, locked_out):
    """Whatever their pauses were: two hours, or what the partner asked for."""
    harness.wait(INTERVAL)
    (probe,) = deliverer.claim()
    deliverer.answer([probe])
    delivered = {probe.ticket_id}
    for _ in range(30):
        delivered.update(deliverer.deliver())
        harness.wait(SECOND)

    assert delivered == set(locked_out)


def test_what_was_put_off_before_it_opened_is_due_when_it_closes(harness, deliverer):
    names = add_due(harness, 3)
    deliverer.deliver(RetryLater(2 * HOUR), 503)
    harness.say("ticket_win", "last")
    deliverer.deliver(AGAIN, 401)
    harness.wait(INTERVAL)
    deliverer.deliver()  # the probe: the one that waited longest

    delivered = [ticket for _ in range(3) for ticket in deliverer.deliver()]

    assert sorted(delivered) == sorted([*names[1:], "last"])


def test_what_fails_after_it_closed_waits_for_its_time(harness, deliverer, locked_out):
    harness.wait(INTERVAL)
    deliverer.deliver()
    failed = deliverer.deliver(AGAIN, 503)
    again: list[str] = []
    while len(again) < len(locked_out) - 1 - len(failed):
        again += deliverer.deliver()

    assert failed
    assert not set(failed) & set(again)
    assert deliverer.deliver() == []


@pytest.mark.usefixtures("locked_out")
def test_what_had_no_answer_keeps_its_silence_when_it_closes(harness, deliverer):
    """Rule 15 comes before the rest: the partner may still be at work on it."""
    harness.wait(INTERVAL)
    (silent,) = deliverer.claim()
    harness.wait(4 * SECOND)
    deliverer.answer([silent], UNANSWERED, None)
    harness.wait(11 * SECOND)
    (probe,) = deliverer.claim()
    harness.wait(4 * SECOND)
    deliverer.answer([probe], UNANSWERED, None)
    harness.wait(SECOND)
    deliverer.record_late(silent)  # its answer came late, and closes the circuit
    delivered = [ticket for _ in range(40) for ticket in deliverer.deliver()]
    assert probe.ticket_id not in delivered

    harness.wait(PARTNER_GRACE - SECOND)

    assert deliverer.deliver() == [probe.ticket_id]


def test_holds_of_a_ticket_outlast_the_closing(harness, deliverer):
    """Rule 14: a follower waits for another's lease; that is no pause of ours."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    (lost,) = deliverer.claim()
    harness.wait(LEASE)
    other = Deliverer(harness)
    other.claim()
    deliverer.answer([lost])
    harness.say("ticket_win", "X")
    deliverer.deliver(AGAIN, 401)
    harness.wait(INTERVAL)
    assert deliverer.deliver() == ["X"]

    assert deliverer.claim() == []

    harness.wait(LEASE - INTERVAL)
    assert deliverer.deliver() == ["T"]

"""Two deliverers, one partner, real HTTP: what the rules promise when one of them loses its lease.

Each test names its rule of protocol.md. The deliverer that is slow waits for a partner that is; its
lease runs out because the clock is moved meanwhile.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from producers.simulation.partner import Answer, CloseWithoutAnswer, Rule
from tests.support.duet import Duet, duet_on

LEASE = timedelta(seconds=25)
GRACE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=1)
CLOSE_DELAY = timedelta(hours=24)
SLOW = 0.3  # seconds; long enough for the other one to claim meanwhile
OK_LATE = Answer(seconds=SLOW)
ONE_DELIVERED = {"claimed": 1, "delivered": 1}


@pytest.fixture
def duet(scene, partner) -> Iterator[Duet]:
    with duet_on(scene, partner) as made:
        yield made


def test_rule_12_whoever_delivers_a_ticket_s_notices_go_out_one_after_the_other(duet, clock):
    """Rules 12 and 13: only the oldest unfinished one is claimed, and recording moves the head."""
    duet.partner.behave(Rule(Answer(status=503), first=1, per_ticket=True))
    story = ["win", "rollback", "lost", "rollback", "win"]
    tickets = [f"t{number}" for number in range(12)]
    for ticket in tickets:
        duet.publish(*story, ticket=ticket)

    for _ in range(8):
        duet.run_both()
        clock.advance(timedelta(seconds=15))

    assert set(duet.ends()) == {"delivered"}
    for ticket in tickets:
        assert duet.told(ticket) == ["win", *story]


def test_rule_14_a_late_200_after_a_lost_lease_counts_and_the_409_to_the_repeat_changes_nothing(
    duet, clock
):
    """Protocol H33: else a known success is thrown away and its notice dead."""
    duet.publish("win", "rollback")
    duet.answers(OK_LATE, Answer(status=409, seconds=2 * SLOW))
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    second = duet.start(1, requests=2)
    first.result()
    assert duet.ends() == ["delivered", None]
    second.result()

    assert duet.ends() == ["delivered", None]
    verdicts = duet.scene.rows("SELECT verdict FROM delivery_attempt ORDER BY claim")
    assert [row.verdict for row in verdicts] == ["delivered", "dead"]
    clock.advance(LEASE - MOMENT)  # the other one may still have been sending
    assert duet.run(0) == {}
    clock.advance(MOMENT)
    assert duet.run(1) == ONE_DELIVERED
    assert duet.told() == ["win", "win", "rollback"]


def test_rule_14_a_late_200_brings_back_what_the_409_to_the_repeat_has_killed(duet, clock):
    """Success counts from anyone while the notice is unfinished or dead."""
    duet.publish("win", "rollback")
    duet.answers(Answer(seconds=2 * SLOW), Answer(status=409))
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    duet.start(1, requests=2).result()
    assert duet.ends() == ["dead", None]

    first.result()

    assert duet.ends() == ["delivered", "delivered"]
    assert duet.told() == ["win", "win", "rollback"]


def test_rule_14_a_late_failure_changes_nothing_for_the_one_that_has_the_lease(duet, clock):
    duet.publish("win")
    duet.answers(Answer(status=404, seconds=SLOW), Answer(seconds=2 * SLOW))
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    second = duet.start(1, requests=2)
    first.result()
    assert duet.ends() == [None]

    second.result()

    assert duet.ends() == ["delivered"]


def test_rule_14_a_repeat_after_a_lost_lease_has_the_same_bytes_and_the_same_key(duet, clock):
    """design.md 5.5: a partner that deduplicates acts upon it once."""
    duet.publish("win")
    duet.answers(OK_LATE)
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    duet.start(1, requests=2).result()
    first.result()

    one, other = duet.partner.ledger.entries()
    assert other.body == one.body
    assert other.idempotency_key == one.idempotency_key
    assert other.signature_ok
    assert one.repeats, "it was answered after the other"
    assert not other.repeats
    assert duet.ends() == ["delivered"]


def test_rule_15_after_a_lost_answer_nothing_is_sent_on_the_ticket_for_ten_seconds(duet, clock):
    """By no deliverer. Then the same again, and its follower at once: the grace is over."""
    duet.publish("win", "rollback")
    duet.answers(CloseWithoutAnswer(taken=True))
    assert duet.run(0) == {"claimed": 1, "unanswered": 1}
    clock.advance(GRACE - MOMENT)
    early = duet.run(0) | duet.run(1)

    clock.advance(MOMENT)

    assert early == {}
    assert duet.run(1) == {"claimed": 2, "delivered": 2}
    assert duet.told() == ["win", "win", "rollback"]
    first, repeat, _ = duet.partner.ledger.entries()
    assert first.taken
    assert repeat.repeats
    assert repeat.body == first.body


def test_rule_15_a_late_200_leaves_the_follower_held_for_the_ten_seconds_of_a_lost_answer(
    duet, clock
):
    """Protocol H35: the request without an answer may still be at work over there."""
    duet.publish("win", "rollback")
    duet.answers(OK_LATE, CloseWithoutAnswer())
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    duet.start(1, requests=2).result()
    first.result()
    assert duet.ends() == ["delivered", None]
    clock.advance(GRACE - MOMENT)
    early = duet.run(0) | duet.run(1)

    clock.advance(MOMENT)

    assert early == {}
    assert duet.run(1) == ONE_DELIVERED
    assert duet.told() == ["win", "win", "rollback"]


def test_rule_15_what_is_published_meanwhile_is_held_too(duet, clock):
    """The moment stands on the ticket (decision 0006)."""
    duet.publish("win")
    duet.answers(OK_LATE, CloseWithoutAnswer())
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    duet.start(1, requests=2).result()
    first.result()
    duet.publish("rollback")

    assert duet.run(0) == {}

    clock.advance(GRACE)
    assert duet.run(1) == ONE_DELIVERED


def test_rule_16_the_clock_runs_from_the_success_that_was_recorded_first(duet, clock):
    duet.publish("win")
    duet.answers(OK_LATE, Answer(seconds=3 * SLOW))
    first = duet.start(0, requests=1)
    clock.advance(LEASE)
    second = duet.start(1, requests=2)
    first.result()
    recorded_at = clock.now()
    clock.advance(timedelta(seconds=5))
    second.result()

    (ticket,) = duet.scene.rows("SELECT close_due_at FROM ticket")
    assert ticket.close_due_at == recorded_at + CLOSE_DELAY


def test_rule_16_the_success_of_a_result_that_was_withdrawn_meanwhile_starts_no_clock(duet):
    """Protocol H32: by generation; the result that stands has not been told yet."""
    duet.publish("win")
    duet.answers(OK_LATE)
    first = duet.start(0, requests=1)
    duet.publish("rollback", "win")
    duet.partner.behave(Rule(Answer(status=503), action="ticket_rollback"))

    first.result()

    (ticket,) = duet.scene.rows("SELECT status, result, close_due_at FROM ticket")
    assert (ticket.status, ticket.result, ticket.close_due_at) == ("resulted", "won", None)
    assert duet.ends() == ["delivered", None, None]

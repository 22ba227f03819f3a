"""A partner's circuit is one row that all deliverers share: how it opens, and its probes.

See decision 0008.
"""

from datetime import timedelta

import pytest

from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, CircuitChange, Dead, RetryLater
from tests.support.deliverers import AGAIN, UNANSWERED, Deliverer, add_due, lock_out
from tests.support.harness import LEASE, PARKING_WINDOW, RECORD_POLICY, SLIP

SECOND = timedelta(seconds=1)
INTERVAL = timedelta(seconds=15)
HOUR = timedelta(hours=1)
REFUSED = Dead("answered 404")


@pytest.fixture
def deliverer(harness) -> Deliverer:
    return Deliverer(harness)


@pytest.fixture
def locked_out(deliverer) -> list[str]:
    """36 tickets whose partner answers 401; its circuit was opened a moment ago."""
    return lock_out(deliverer)


@pytest.mark.usefixtures("locked_out")
def test_while_it_is_open_nothing_goes_out_for_any_deliverer(harness, deliverer):
    other = Deliverer(harness)

    harness.wait(INTERVAL - SECOND)

    assert (deliverer.claim(), other.claim()) == ([], [])


def test_the_probe_is_the_oldest_notice_and_each_time_another(harness, deliverer, locked_out):
    """What was tried goes behind what was not: one that always fails must not be in the way."""
    probes = []
    for _ in range(40):
        harness.wait(INTERVAL)
        probes += deliverer.deliver(AGAIN, 401)

    assert probes[:4] == locked_out[32:]
    assert sorted(probes[4:36]) == sorted(locked_out[:32])
    assert probes[36:] == locked_out[32:]


def test_a_notice_within_its_grace_is_no_probe(harness, deliverer):
    """Rule 15: the partner may still be at work on it, so the next oldest is the probe."""
    add_due(harness, 1, prefix="silent")
    (silent,) = deliverer.claim()
    add_due(harness, 1, prefix="refused")
    (refused,) = deliverer.claim()
    with harness.engine.begin() as connection:
        record(
            connection,
            [Attempt(silent, UNANSWERED, SECOND)],
            now=harness.now,
            policy=RecordPolicy(4 * INTERVAL, PARKING_WINDOW),
        )
    harness.wait(SECOND)
    deliverer.record_late(refused, verdict=AGAIN, status=401)
    harness.wait(INTERVAL)

    assert Deliverer(harness).deliver(AGAIN, 401) == [refused.ticket_id]


@pytest.mark.usefixtures("locked_out")
def test_there_is_one_probe_at_a_time_whichever_deliverer_claims(harness, deliverer):
    other = Deliverer(harness)
    harness.wait(INTERVAL)
    (probe,) = deliverer.claim()
    while_it_runs = []
    for _ in range(24):
        harness.wait(SECOND)
        while_it_runs += other.claim()
    assert while_it_runs == []

    harness.wait(SECOND)  # the first deliverer died, its lease is over
    (second,) = other.claim()

    assert second.claimed_at == probe.claimed_at + LEASE
    assert deliverer.claim() == []


@pytest.mark.usefixtures("locked_out")
def test_a_create_or_reserve_is_never_a_probe(harness, deliverer):
    """Rule 10: it dies of its age instead."""
    for number in range(5):
        harness.say("ticket_create", f"C{number}", **SLIP)
    probes = []
    for _ in range(5):
        harness.wait(INTERVAL)
        probes += deliverer.deliver(AGAIN, 401)

    assert len(probes) == 5
    assert not [ticket for ticket in probes if ticket.startswith("C")]
    assert harness.abandon_creates() == 5


def test_while_it_is_open_no_attempt_is_used_up(harness, deliverer, records, locked_out):
    for _ in range(8):
        harness.wait(INTERVAL)
        deliverer.deliver(AGAIN, 401)

    rows = [records.notice(1, name) for name in locked_out]
    assert {row.tries for row in rows} == {0}
    assert {row.first_tried_at for row in rows} == {None}
    assert sum(row.claims for row in rows) == 40


def test_nothing_dies_of_an_open_circuit_however_long_it_is(harness, deliverer, records):
    """The clock of the 48 hours stops too."""
    add_due(harness, 1)
    deliverer.deliver(RetryLater(HOUR), 503)  # its first attempt, an hour before
    harness.wait(HOUR)
    (claim,) = deliverer.claim()
    assert harness.now - claim.first_tried_at == HOUR
    deliverer.answer([claim], AGAIN, 403)
    harness.wait(72 * HOUR)
    (probe,) = deliverer.claim()
    assert harness.now - probe.first_tried_at == HOUR
    deliverer.answer([probe], Dead("answered 404"), 404)

    assert records.notice(1, "T0").ended is None


def test_the_tenth_refusal_in_a_row_opens_it_whichever_deliverer_recorded_the_others(
    harness, deliverer, records
):
    other = Deliverer(harness)
    names = add_due(harness, 14)
    mine, yours = deliverer.claim(places=10), other.claim()
    assert (len(mine), len(yours)) == (5, 9)
    deliverer.answer(mine, REFUSED, 404)
    turned = other.answer(yours, REFUSED, 404)

    assert turned.verdicts == {"dead": 4, "again": 5}
    ends = [records.notice(1, name).ended for name in names]
    assert ends.count("dead") == 9
    assert ends.count(None) == 5
    harness.wait(INTERVAL)
    assert len(deliverer.claim()) == 1


def test_a_refused_probe_is_followed_by_the_youngest_notice(harness, deliverer):
    """A partner that knows none of the old tickets is not cut off from the new ones."""
    names = add_due(harness, 30)
    deliverer.deliver(REFUSED, 404)
    harness.wait(SECOND)
    harness.say("ticket_win", "new")
    harness.wait(INTERVAL)
    first = deliverer.deliver(REFUSED, 404)
    harness.wait(INTERVAL)

    second = deliverer.deliver()

    assert first[0] in names
    assert second == ["new"]


def test_a_failure_whose_lease_was_lost_opens_nothing(harness, deliverer):
    """Rule 14: it changes nothing."""
    add_due(harness, 1)
    (lost,) = deliverer.claim()
    harness.wait(LEASE)
    other = Deliverer(harness)
    (owned,) = other.claim()
    deliverer.answer([lost], AGAIN, 401)
    other.answer([owned])
    harness.say("ticket_win", "next")

    assert deliverer.deliver() == ["next"]


def test_it_is_opened_for_one_operator_alone(harness, deliverer):
    harness.add_operator("bravo")
    add_due(harness, 3)
    deliverer.deliver(AGAIN, 403)
    add_due(harness, 3, operator="bravo", prefix="B")
    add_due(harness, 1, prefix="X")

    assert sorted(deliverer.deliver()) == ["B0", "B1", "B2"]


def test_what_a_deliverer_gives_up_opens_it_for_all(harness, deliverer, records):
    add_due(harness, 3)
    attempts = [Attempt(claim, UNANSWERED, SECOND) for claim in deliverer.claim()]
    with harness.engine.begin() as connection:
        recorded = record(
            connection,
            attempts,
            now=harness.now,
            policy=RECORD_POLICY,
            to_open={1: "20 attempts in a row"},
        )
    harness.wait(INTERVAL - SECOND)

    assert list(recorded.circuit_changes) == [CircuitChange("acme", "20 attempts in a row")]
    assert Deliverer(harness).claim() == []
    assert records.notice(1, "T0").perhaps_delivered
    assert records.notice(1, "T0").tries == 0

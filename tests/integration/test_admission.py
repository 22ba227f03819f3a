"""Limits hold over all deliverers together, also when some of them die."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.support.deliverers import AGAIN, Deliverer, add_due
from tests.support.harness import Harness

UNDELIVERED = 120
SECOND = timedelta(seconds=1)
STEP = timedelta(seconds=0.1)
LIMIT = text("UPDATE operator SET in_flight = :in_flight, rate = :rate WHERE code = 'acme'")
COUNTED = text("SELECT in_flight FROM circuit")


@pytest.fixture
def deliverers(harness) -> list[Deliverer]:
    return [Deliverer(harness) for _ in range(2)]


def limit(harness: Harness, *, in_flight: int = 32, rate: float | None = None) -> None:
    with harness.engine.begin() as connection:
        connection.execute(LIMIT, {"in_flight": in_flight, "rate": rate})


def counted(harness: Harness) -> list[int]:
    with harness.engine.begin() as connection:
        (in_flight,) = connection.execute(COUNTED).scalars()
    return sorted(counts["calls"] for counts in in_flight.values())


def test_two_deliverers_keep_to_one_cap(harness, deliverers):
    limit(harness, in_flight=10)
    add_due(harness, 50)
    deliverer, other = deliverers
    first, second = deliverer.claim(places=14), other.claim()
    assert (len(first), len(second)) == (7, 3)

    deliverer.answer(first[:4])
    third = other.claim()
    assert third == [], "it does not know yet"
    deliverer.claim(places=0)

    assert len(other.claim()) == 4
    assert counted(harness) == [3, 7]


def test_two_deliverers_at_the_same_moment_keep_to_one_cap(harness, deliverers):
    """The count of the other is read under the lock that it was written under."""
    limit(harness, in_flight=7)
    add_due(harness, UNDELIVERED)
    delivered: list[str] = []

    def work(deliverer: Deliverer) -> int:
        most = 0
        for _ in range(400):  # many find the circuit's row locked by the other, and claim nothing
            if len(delivered) == UNDELIVERED:
                break
            claims = deliverer.claim(places=24)
            most = max(most, sum(counted(harness)))
            delivered.extend(claim.ticket_id for claim in claims)
            deliverer.answer(claims)
        return most

    with ThreadPoolExecutor(2) as threads:
        most = max(threads.map(work, deliverers))

    assert most <= 7
    assert Counter(delivered).most_common(1)[0][1] == 1
    assert len(delivered) == UNDELIVERED


def test_what_a_dead_deliverer_had_in_flight_counts_until_its_calls_must_be_over(
    harness, deliverers
):
    """Seven seconds, not the 25 of its leases: its partner must not wait that long."""
    limit(harness, in_flight=4)
    add_due(harness, 20)
    dead, alive = deliverers
    assert len(dead.claim()) == 4
    harness.wait(7 * SECOND - STEP)
    assert alive.claim() == []

    harness.wait(STEP)

    assert len(alive.claim()) == 4
    assert counted(harness) == [4], "the dead one is forgotten"


def test_a_deliverer_that_lives_counts_for_as_long_as_its_calls_do(harness, deliverers):
    """Its calls were begun one after the other."""
    limit(harness, in_flight=4)
    add_due(harness, 20)
    deliverer, other = deliverers
    deliverer.claim()
    harness.wait(4 * SECOND)
    deliverer.claim(places=0)
    harness.wait(5 * SECOND)

    assert other.claim() == []


def test_when_nothing_is_due_any_more_nothing_is_counted(harness, deliverers):
    """Else the next notice would wait for a count to run out."""
    add_due(harness, 3)
    deliverer, _ = deliverers
    deliverer.deliver()
    deliverer.claim()

    assert counted(harness) == []


def test_two_deliverers_keep_to_one_rate(harness, deliverers):
    """A quarter of a second's worth at most goes at once; then it is the rate."""
    limit(harness, rate=40.0)
    add_due(harness, 200)
    sent = []
    for step in range(31):
        sent.append(len(deliverers[step % 2].deliver()))
        harness.wait(STEP)

    assert sent == [10, *[4] * 30]


def test_a_deliverer_that_the_rate_holds_back_knows_when_to_look_again(harness, deliverers):
    limit(harness, rate=40.0)
    add_due(harness, 12)
    deliverer, other = deliverers
    deliverer.deliver()
    assert deliverer.admitted is not None
    assert deliverer.admitted.again_in == STEP

    harness.wait(STEP)
    other.deliver()

    assert other.admitted is not None
    assert other.admitted.again_in is None, "nothing is left"


def test_after_a_circuit_closed_deliverers_share_the_ramp(harness, deliverers):
    """From a tenth of the cap to the whole within a minute."""
    limit(harness, in_flight=20)
    add_due(harness, 200)
    deliverer, other = deliverers
    deliverer.deliver(AGAIN, 401)
    harness.wait(15 * SECOND)
    deliverer.deliver()
    in_flight = []
    for _ in range(7):
        mine, yours = deliverer.claim(places=8), other.claim()
        in_flight.append(len(mine) + len(yours))
        deliverer.answer(mine)
        other.answer(yours)
        deliverer.claim(places=0)
        other.claim(places=0)
        harness.wait(10 * SECOND)

    assert in_flight == [2, 4, 7, 10, 14, 17, 20]


def test_a_partner_that_hangs_leaves_places_for_others_whatever_its_cap(harness, deliverers):
    """Not even through the places of the process."""
    limit(harness, in_flight=1000)
    harness.add_operator("bravo")
    add_due(harness, 100)
    deliverer, _ = deliverers
    hanging = deliverer.claim(places=40) + deliverer.claim(places=20) + deliverer.claim(places=20)
    add_due(harness, 100, operator="bravo", prefix="B")

    swift = deliverer.claim(places=20)

    assert len(hanging) == 20
    assert {claim.operator_code for claim in swift} == {"bravo"}
    assert len(swift) == 10


def test_of_many_partners_each_has_its_turn_although_there_is_one_place(harness, deliverers):
    for number in range(5):
        harness.add_operator(f"o{number}")
        add_due(harness, 10, operator=f"o{number}", prefix=f"o{number}-")
    deliverer, _ = deliverers

    delivered = []
    for _ in range(10):
        claims = deliverer.claim(places=1)
        deliverer.answer(claims)
        delivered += [claim.operator_code for claim in claims]

    assert set(Counter(delivered).values()) == {2}


def test_a_circuit_that_another_deliverer_has_locked_is_tried_again_soon(
    harness, deliverers, engine
):
    """No deliverer waits for it: one that froze there stops one partner, not all of them."""
    harness.add_operator("bravo")
    add_due(harness, 3)
    add_due(harness, 3, operator="bravo", prefix="B")
    deliverer, _ = deliverers
    with engine.begin() as connection:
        deliverer.claim_within(connection, places=0)  # creates the circuits
    with engine.begin() as frozen:
        frozen.execute(text("SELECT FROM circuit WHERE operator = 1 FOR UPDATE"))
        delivered = deliverer.claim()

    assert {claim.operator_code for claim in delivered} == {"bravo"}
    assert deliverer.admitted is not None
    assert deliverer.admitted.again_in is not None
    assert deliverer.admitted.again_in < STEP
    assert {claim.operator_code for claim in deliverer.claim()} == {"acme"}

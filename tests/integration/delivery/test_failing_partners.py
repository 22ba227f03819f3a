"""Partners that are down, slow, or lock us out, over real sockets: the cost, and who bears it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import cycle

import pytest

from models.operators.interventions import Person
from models.operators.rotation import rotate_secret
from producers.simulation.partner import Hang, LedgerEntry, Respond, Rule, SimulatedPartner
from producers.wall_clock import utc_now
from tests.support.delivery_setup import (
    LATE,
    RUN_MAX,
    SECRET,
    DeliverySetup,
    delivery_setup_on,
    received,
)
from tests.support.wait import eventually

SECOND = timedelta(seconds=1)
INTERVAL = timedelta(seconds=15)
HOUR = timedelta(hours=1)
SHORT = timedelta(seconds=0.3)


class WallClock:
    """Time that passes by itself, for what is measured per second."""

    def now(self, connection: object = None) -> datetime:  # noqa: ARG002 - the Clock's
        return utc_now()


@pytest.fixture
def living(engine) -> Iterator[DeliverySetup]:
    """A delivery in which time passes."""
    with delivery_setup_on(engine, WallClock()) as made:  # type: ignore[arg-type]  # it is never moved
        yield made


def win(delivery: DeliverySetup, operator: str, count: int) -> list[str]:
    """Make *count* notices due to the partner."""
    names = [f"{operator}-{number}" for number in range(count)]
    delivery.publish(operator, *(("ticket_win", name) for name in names))
    return names


def most_at_once(entries: tuple[LedgerEntry, ...]) -> int:
    """How many requests a partner was handling at the same time."""
    steps = [(entry.received_at, 1) for entry in entries]
    steps += [(entry.answered_at, -1) for entry in entries if entry.answered_at is not None]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def test_an_hour_with_a_wrong_secret_kills_no_notice(delivery, partner, acme, clock):
    """After `rotate-secret` all go out within a minute; a 403 proves nothing about a notice."""
    passed = [0.0]
    loops = cycle([delivery.delivery_loop(monotonic=lambda: passed[0]) for _ in range(2)])
    delivery.change(
        "UPDATE operator SET secret = :sealed", sealed=delivery.vault.encrypt("another")
    )
    win(delivery, acme, 60)

    def let(by: timedelta) -> None:
        clock.advance(by)
        passed[0] += by.total_seconds()
        next(loops).run(lasting=RUN_MAX)

    for _ in range(int(HOUR / INTERVAL / 2)):
        let(2 * INTERVAL)
    refused = len(partner.ledger.entries())
    ends = delivery.rows("SELECT ended, tries FROM notice WHERE ended IS NOT NULL OR tries > 0")
    with delivery.engine.begin() as connection:
        rotate_secret(
            connection,
            acme,
            SECRET,
            switch_at=clock.now(),
            forget_at=clock.now(),
            now=clock.now(),
            vault=delivery.vault,
            person=Person("anna", "it was mistyped"),
        )
    for _ in range(20):
        let(3 * SECOND)

    assert ends == []
    assert refused == 32 + 119, "the concurrency limit, then a probe each time"
    (delivered,) = delivery.rows("SELECT count(*) AS n FROM notice WHERE ended = 'delivered'")
    assert delivered.n == 60


def test_a_partner_that_hangs_is_given_up_after_one_timeout(delivery, partner, acme, clock, caplog):
    """Otherwise it would hold places of every deliverer for as long as something is due."""
    partner.behave(Rule(Hang()))
    win(delivery, acme, 200)
    loop = delivery.delivery_loop(partner_timeout=SHORT)

    first = loop.run(lasting=RUN_MAX).counts
    clock.advance(INTERVAL - SECOND)
    second = loop.run(lasting=RUN_MAX).counts
    clock.advance(SECOND)
    third = loop.run(lasting=RUN_MAX).counts

    # Calls that end early make room for others, and so does a poll before they are recorded.
    assert 32 <= first["unanswered"] <= 32 + 32 + 19
    assert second == {}
    assert third == {"claimed": 1, "unanswered": 1}
    (opened,) = [record for record in caplog.records if record.message == "circuit_opened"]
    assert opened.__dict__["operator"] == "acme"
    assert " attempts in a row led to nothing; the last: " in opened.__dict__["reason"]
    assert opened.__dict__["cause"] == "timeout"


def test_when_it_recovers_that_is_logged_and_all_goes_out(delivery, partner, acme, clock, caplog):
    caplog.set_level("INFO")
    partner.behave(Rule(Respond(status=503)))
    names = win(delivery, acme, 60)
    loop = delivery.delivery_loop()
    loop.run(lasting=RUN_MAX)
    partner.behave_well()
    clock.advance(INTERVAL)
    probe = loop.run(lasting=timedelta(0)).counts
    for _ in range(20):
        clock.advance(3 * SECOND)
        loop.run(lasting=RUN_MAX)

    assert probe == {"claimed": 1}
    taken = [entry.ticket_id for entry in partner.ledger.entries() if entry.taken]
    assert sorted(taken) == sorted(names)
    assert "circuit_closed" in [record.message for record in caplog.records]


def test_a_partner_that_hangs_slows_no_other_beside_it(delivery, partner, acme, clock):
    """Not by its calls, which could fill all places of the process, nor by its records."""
    with SimulatedPartner(secret=SECRET, now=clock.now) as mute:
        mute.behave(Rule(Hang()))
        delivery.operator("mute", mute.url, in_flight=1000)
        win(delivery, "mute", 300)
        win(delivery, acme, 200)
        loops = [
            delivery.delivery_loop(in_flight_max=32, partner_timeout=RUN_MAX) for _ in range(2)
        ]

        with ThreadPoolExecutor(2) as background:
            runs = [background.submit(loop.run, lasting=RUN_MAX) for loop in loops]
            eventually(lambda: sum(entry.taken for entry in partner.ledger.entries()) == 200)
            assert not any(run.done() for run in runs)
            for loop in loops:
                loop.stop()
            mute.stop()

        assert len(mute.ledger.entries()) <= 32, "half of the places at most"
        assert sum(run.result().counts["delivered"] for run in runs) == 200


def test_two_deliverers_have_no_more_in_flight_than_the_partner_s_cap(living):
    with SimulatedPartner(secret=SECRET) as partner:
        partner.behave(Rule(Respond(seconds=0.01)))
        living.operator("acme", partner.url, in_flight=3)
        win(living, "acme", 80)
        loops = [living.delivery_loop() for _ in range(2)]

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda loop: loop.run(lasting=RUN_MAX), loops))
        while loops[0].run(lasting=RUN_MAX).counts:
            pass  # the other may have had the circuit locked at the end

    entries = partner.ledger.entries()
    assert len(entries) == 80
    assert most_at_once(entries) == 3


def test_a_delivery_loop_that_ends_leaves_nothing_counted_as_in_flight(delivery, partner, acme):
    """Else the others would have to wait until it must be over."""
    partner.behave(Rule(LATE))
    win(delivery, acme, 5)
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)
    loop.run(lasting=timedelta(milliseconds=50))
    (while_open,) = delivery.rows("SELECT in_flight FROM circuit")
    for _ in range(5):
        partner.answer_now()

    loop.close()

    (after,) = delivery.rows("SELECT in_flight FROM circuit")
    assert [count["calls"] for count in while_open.in_flight.values()] == [5]
    assert after.in_flight == {}


def test_two_deliverers_keep_a_partner_s_rate_and_use_it(living):
    with SimulatedPartner(secret=SECRET) as partner:
        living.operator("acme", partner.url, rate=60.0)
        win(living, "acme", 100)
        loops = [living.delivery_loop() for _ in range(2)]
        begun = utc_now()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda loop: loop.run(lasting=RUN_MAX), loops))

    entries = partner.ledger.entries()
    lasted = (entries[-1].received_at - begun).total_seconds()
    assert len(entries) == 100, "what the rate holds back is not forgotten"
    assert len(entries) <= 60 * lasted + 15 + 1


def test_retry_after_is_kept_by_all_deliverers(delivery, partner, acme, clock):
    """RFC 9110."""
    partner.behave(Rule(Respond(status=429, headers=(("Retry-After", "90"),)), first=1))
    win(delivery, acme, 1)
    delivery.deliver()
    clock.advance(90 * SECOND - timedelta(milliseconds=1))

    early = delivery.deliver().counts
    clock.advance(timedelta(milliseconds=1))

    assert early == {}
    assert delivery.deliver().counts == {"claimed": 1, "delivered": 1}


def test_a_discard_goes_out_every_half_hour_whatever_the_answer(delivery, partner, acme, clock):
    """Rule 10; contracts 1.6. Its refusals open no circuit."""
    partner.behave(Rule(Respond(status=404), action="ticket_discard", first=12))
    delivery.publish(acme, ("ticket_discard", "t"))
    counts = []
    for _ in range(13):
        counts.append(dict(delivery.deliver().counts))
        clock.advance(timedelta(minutes=30))

    assert counts == [{"claimed": 1, "again": 1}] * 12 + [{"claimed": 1, "delivered": 1}]
    assert set(received(partner)) == {("ticket_discard", "t")}


def test_a_partner_whose_secret_cannot_be_opened_is_not_tried_to_death(
    delivery, partner, acme, clock
):
    """Nothing is sent, so nothing may die: after twenty, one probe in fifteen seconds."""
    delivery.change("UPDATE operator SET secret = 'damaged'")
    win(delivery, acme, 60)

    first = delivery.deliver().counts
    clock.advance(INTERVAL)
    second = delivery.deliver().counts

    assert first == {"claimed": 32, "again": 32}
    assert second == {"claimed": 1, "again": 1}
    assert partner.ledger.entries() == ()

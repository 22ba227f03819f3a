"""Many connections on the same few tickets: none deadlocks, and the records agree (rule 19)."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from sqlalchemy import text

from models.outbox.values import Delivered, RetryLater, Unanswered, Verdict
from tests.support.concurrent_connections import at_once, beside, waiting_sessions
from tests.support.harness import LEASE, Harness

MINUTE = timedelta(minutes=1)
ROUNDS = 25
STEPS = 30
MAKE_TICKET = text("INSERT INTO ticket (operator, ticket_id) VALUES (1, :ticket_id)")
LOCK_TICKET = text("SELECT id FROM ticket WHERE ticket_id = :ticket_id FOR NO KEY UPDATE")
TICKETS = [f"T{number}" for number in range(6)]
LEGAL = re.compile(r"(R B )*(R (C )?)?")
STATUS = {"": "absent", "R ": "resulted", "B ": "open", "C ": "closed"}
SHORT = {"ticket_rollback": "B", "ticket_closed": "C"}  # all others are results


@pytest.fixture
def gate(engine):
    """A transaction that blocks all others until it is rolled back."""
    with engine.connect() as connection:
        yield connection


def test_new_tickets_named_in_opposite_orders_do_not_deadlock(harness, records, engine, gate):
    """E5: missing tickets are made in the order of their keys, however the events name them."""
    gate.execute(MAKE_TICKET, {"ticket_id": "M"})
    upwards = partial(harness.publish, *(harness.event("ticket_win", name) for name in "AMZ"))
    downwards = partial(harness.publish, *(harness.event("ticket_win", name) for name in "ZMA"))
    with beside(upwards) as first, beside(downwards) as second:
        waiting_sessions(engine, 2)
        gate.rollback()
        first.result()
        second.result()

    assert [len(records.events(name)) for name in "AMZ"] == [2, 2, 2]


@pytest.mark.parametrize("second", ["publishes", "records"])
def test_known_tickets_named_in_opposite_orders_do_not_deadlock(harness, engine, gate, second):
    """E4 and E5: every transaction locks tickets first, and all in the same order."""
    harness.publish(*(harness.event("ticket_win", name) for name in "AMZ"))
    claims = harness.claim()
    gate.execute(LOCK_TICKET, {"ticket_id": "M"})
    upwards = partial(harness.publish, *(harness.event("ticket_rollback", name) for name in "AMZ"))
    downwards = {
        "publishes": partial(
            harness.publish, *(harness.event("ticket_lost", name) for name in "ZMA")
        ),
        "records": partial(harness.record, claims[::-1]),
    }[second]
    with beside(upwards) as first, beside(downwards) as following:
        waiting_sessions(engine, 2)
        gate.rollback()
        first.result()
        following.result()


def test_batches_with_crossing_tickets_and_crossing_ids_never_deadlock(harness, records):
    """E5 and E7: new tickets and known ones, named in opposite orders."""
    for number in range(ROUNDS):
        names = [f"{number}-{letter}" for letter in "abcdef"]
        names += [f"{number - 1}-{letter}" for letter in "abcdef"]  # made by the round before
        upwards = [
            harness.event("ticket_win", t, event_id=i) for t, i in zip(names, names, strict=True)
        ]
        downwards = [
            harness.event("ticket_win", t, event_id=i)
            for t, i in zip(reversed(names), names, strict=True)
        ]
        at_once(partial(harness.publish, *upwards), partial(harness.publish, *downwards))

    assert len(records.tickets()) == 6 * (ROUNDS + 1)
    for ticket in (f"{ROUNDS // 2}-a", f"{ROUNDS // 2}-f"):
        events = records.events(ticket)
        assert [row.outcome for row in events] == ["applied", "confirmed", "confirmed"]
        assert sorted(row.repeats for row in events) == [0, 0, 1]


def test_intake_and_deliverers_that_share_tickets_never_deadlock(harness, records):
    """E4: both lock tickets first, in one order."""
    for number in range(ROUNDS):
        names = [f"{number}-{letter}" for letter in "abcdef"]
        harness.publish(*(harness.event("ticket_win", name) for name in names))
        claims = harness.claim()
        backs = [harness.event("ticket_rollback", name) for name in reversed(names)]
        at_once(partial(harness.record, claims[::-1]), partial(harness.publish, *backs))
        assert len(harness.deliver()) == len(names)

    assert {records.standing(name) for name in records.tickets()} == {"open/pending"}


def test_of_a_rollback_and_a_close_at_the_same_moment_exactly_one_wins(harness, records):
    """Rule 17: the close was due, the rollback is in time; neither leaves half of it."""
    harness.add_operator("quick", close_delay=timedelta(0))
    won: list[str] = []
    for number in range(ROUNDS):
        ticket = f"T{number}"
        harness.say("ticket_win", ticket, operator="quick")
        harness.deliver()
        back = harness.event("ticket_rollback", ticket, operator="quick", event_id="back")
        at_once(harness.close_due, partial(harness.publish, back))
        won.append(records.standing(ticket, operator="quick"))
        closed = won[-1] == "closed/won"
        assert closed or won[-1] == "open/pending"
        assert records.event("back", ticket, operator="quick").outcome == (
            "rejected" if closed else "applied"
        )
        assert records.notice_actions(ticket, operator="quick") == [
            "ticket_win",
            "ticket_closed" if closed else "ticket_rollback",
        ]


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_at_once_leaves_every_partner_with_a_legal_sequence(harness, records, seed):
    """Two intakes, two deliverers that fail and lose leases, and two sweeps."""
    harness.add_operator("quick", close_delay=timedelta(0))
    at_once(
        *(_intake(harness, _chance(seed, number)) for number in range(2)),
        *(_deliverer(harness, _chance(seed, number)) for number in range(2)),
        *(_sweep(harness) for _ in range(2)),
    )

    for ticket in records.tickets():
        actions = "".join(
            f"{SHORT.get(a, 'R')} " for a in records.notice_actions(ticket, operator="quick")
        )
        assert LEGAL.fullmatch(actions), f"seed {seed}, {ticket}: {actions}"
        assert records.ticket(ticket, operator="quick").status == STATUS[actions[-2:]]


def _chance(seed: int, number: int) -> Random:
    return Random(f"{seed}-{number}")  # noqa: S311 - a test that can be run again, no secret


def _intake(harness: Harness, random: Random) -> Callable[[], None]:
    actions = ["ticket_win", "ticket_lost", "ticket_rollback", "ticket_rollback"]

    def work() -> None:
        for _ in range(STEPS):
            names = random.sample(TICKETS, 4)
            harness.publish(
                *(harness.event(random.choice(actions), n, operator="quick") for n in names)
            )

    return work


def _deliverer(harness: Harness, random: Random) -> Callable[[], None]:
    verdicts: list[Verdict] = [Delivered(), Delivered(), RetryLater(MINUTE), Unanswered(MINUTE)]

    def work() -> None:
        for _ in range(STEPS):
            claims = harness.claim(lease=random.choice([timedelta(0), LEASE]))
            random.shuffle(claims)
            harness.record(claims, random.choice(verdicts))

    return work


def _sweep(harness: Harness) -> Callable[[], None]:
    def work() -> None:
        for _ in range(STEPS):
            harness.wait(MINUTE / 2)
            harness.close_due()
            harness.end_windows()
            harness.abandon_creates()

    return work

"""Many connections on the same few tickets: nobody deadlocks, and the books agree (rule 19)."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from sqlalchemy import text

from models.outbox.values import Delivered, RetryLater, Unanswered, Verdict
from tests.support.desk import LEASE, Desk
from tests.support.threads import at_once, beside, waiting_sessions

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
    """A transaction in everybody's way, until it is undone."""
    with engine.connect() as connection:
        yield connection


def test_new_tickets_named_in_opposite_orders_do_not_deadlock(desk, books, engine, gate):
    """Protocol E5: missing tickets are made in the order of their keys, whoever names them how."""
    gate.execute(MAKE_TICKET, {"ticket_id": "M"})
    one = partial(desk.publish, *(desk.event("ticket_win", name) for name in "AMZ"))
    other = partial(desk.publish, *(desk.event("ticket_win", name) for name in "ZMA"))
    with beside(one) as first, beside(other) as second:
        waiting_sessions(engine, 2)
        gate.rollback()
        first.result()
        second.result()

    assert [len(books.events(name)) for name in "AMZ"] == [2, 2, 2]


@pytest.mark.parametrize("second", ["publishes", "records"])
def test_known_tickets_named_in_opposite_orders_do_not_deadlock(desk, engine, gate, second):
    """Protocol E4 and E5: everybody locks tickets first, and all of them in one order."""
    desk.publish(*(desk.event("ticket_win", name) for name in "AMZ"))
    claims = desk.claim()
    gate.execute(LOCK_TICKET, {"ticket_id": "M"})
    one = partial(desk.publish, *(desk.event("ticket_rollback", name) for name in "AMZ"))
    other = {
        "publishes": partial(desk.publish, *(desk.event("ticket_lost", name) for name in "ZMA")),
        "records": partial(desk.record, claims[::-1]),
    }[second]
    with beside(one) as first, beside(other) as following:
        waiting_sessions(engine, 2)
        gate.rollback()
        first.result()
        following.result()


def test_chunks_with_crossing_tickets_and_crossing_ids_never_deadlock(desk, books):
    """Protocol E5 and E7: new tickets and known ones, named in opposite orders."""
    for number in range(ROUNDS):
        names = [f"{number}-{letter}" for letter in "abcdef"]
        names += [f"{number - 1}-{letter}" for letter in "abcdef"]  # made by the round before
        one = [desk.event("ticket_win", t, event_id=i) for t, i in zip(names, names, strict=True)]
        other = [
            desk.event("ticket_win", t, event_id=i)
            for t, i in zip(reversed(names), names, strict=True)
        ]
        at_once(partial(desk.publish, *one), partial(desk.publish, *other))

    assert len(books.tickets()) == 6 * (ROUNDS + 1)
    for ticket in (f"{ROUNDS // 2}-a", f"{ROUNDS // 2}-f"):
        events = books.events(ticket)
        assert [row.outcome for row in events] == ["applied", "confirmed", "confirmed"]
        assert sorted(row.repeats for row in events) == [0, 0, 1]


def test_intake_and_deliverers_that_share_tickets_never_deadlock(desk, books):
    """Protocol E4: both lock tickets first, in one order."""
    for number in range(ROUNDS):
        names = [f"{number}-{letter}" for letter in "abcdef"]
        desk.publish(*(desk.event("ticket_win", name) for name in names))
        claims = desk.claim()
        backs = [desk.event("ticket_rollback", name) for name in reversed(names)]
        at_once(partial(desk.record, claims[::-1]), partial(desk.publish, *backs))
        assert len(desk.deliver()) == len(names)

    assert {books.standing(name) for name in books.tickets()} == {"open/pending"}


def test_of_a_rollback_and_a_close_at_the_same_moment_exactly_one_wins(desk, books):
    """Rule 17: the close was due, the rollback is in time; nobody gets half of it."""
    desk.add_operator("quick", close_delay=timedelta(0))
    won: list[str] = []
    for number in range(ROUNDS):
        ticket = f"T{number}"
        desk.say("ticket_win", ticket, operator="quick")
        desk.deliver()
        back = desk.event("ticket_rollback", ticket, operator="quick", event_id="back")
        at_once(desk.close_due, partial(desk.publish, back))
        won.append(books.standing(ticket, operator="quick"))
        closed = won[-1] == "closed/won"
        assert closed or won[-1] == "open/pending"
        assert books.event("back", ticket, operator="quick").outcome == (
            "rejected" if closed else "applied"
        )
        assert books.owed(ticket, operator="quick") == [
            "ticket_win",
            "ticket_closed" if closed else "ticket_rollback",
        ]


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_at_once_leaves_every_partner_with_a_legal_story(desk, books, seed):
    """Two intakes, two deliverers that fail and lose leases, and two sweeps."""
    desk.add_operator("quick", close_delay=timedelta(0))
    at_once(
        *(_intake(desk, _chance(seed, number)) for number in range(2)),
        *(_deliverer(desk, _chance(seed, number)) for number in range(2)),
        *(_sweep(desk) for _ in range(2)),
    )

    for ticket in books.tickets():
        told = "".join(f"{SHORT.get(a, 'R')} " for a in books.owed(ticket, operator="quick"))
        assert LEGAL.fullmatch(told), f"seed {seed}, {ticket}: {told}"
        assert books.ticket(ticket, operator="quick").status == STATUS[told[-2:]]


def _chance(seed: int, number: int) -> Random:
    return Random(f"{seed}-{number}")  # noqa: S311 - a test that can be run again, no secret


def _intake(desk: Desk, random: Random) -> Callable[[], None]:
    words = ["ticket_win", "ticket_lost", "ticket_rollback", "ticket_rollback"]

    def work() -> None:
        for _ in range(STEPS):
            names = random.sample(TICKETS, 4)
            desk.publish(*(desk.event(random.choice(words), n, operator="quick") for n in names))

    return work


def _deliverer(desk: Desk, random: Random) -> Callable[[], None]:
    verdicts: list[Verdict] = [Delivered(), Delivered(), RetryLater(MINUTE), Unanswered(MINUTE)]

    def work() -> None:
        for _ in range(STEPS):
            claims = desk.claim(lease=random.choice([timedelta(0), LEASE]))
            random.shuffle(claims)
            desk.record(claims, random.choice(verdicts))

    return work


def _sweep(desk: Desk) -> Callable[[], None]:
    def work() -> None:
        for _ in range(STEPS):
            desk.wait(MINUTE / 2)
            desk.close_due()
            desk.end_windows()
            desk.abandon_creates()

    return work

"""What people, jobs, deliverers and the sweep do to the same tickets at once (rules 18 to 25).

Threads act at random on a dozen tickets. No transaction is chosen as the victim of a deadlock, the
rows fit together, and all comes to rest.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from models.jobs import advance_jobs, end_partnership, list_jobs, start_job
from models.operators import disable_operator, enable_operator
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.outbox.values import Attempt, Dead, Delivered, RetryLater
from models.platform.errors import SlipwayError
from models.platform.timestamps import format_timestamp
from models.players import erase_player
from models.sweeps.retention import remove_expired
from models.triage import hold_ticket, release_ticket
from models.triage.send_again import send_notices_again
from tests.support.concurrent_connections import at_once
from tests.support.erasing import KEYS, PLAYER, held, run_job
from tests.support.harness import CLOSE_DELAY, OPERATOR, SLIP, TOOK, Harness

ANN = Person("ann", "a rehearsal")
TICKETS = [f"T{number}" for number in range(12)]
ACTS = 150  # of each thread
DAYS = timedelta(days=3)
DELIVERED = text("SELECT id FROM notice WHERE ended = 'delivered' ORDER BY id")
DEAD = text("SELECT id FROM notice WHERE ended = 'dead' ORDER BY id")


class Actor:
    """One of the threads."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self.harness = harness
        self.random = random.Random(seed)  # noqa: S311 - which act comes next is no secret

    def act(self) -> None:
        """Do this and that; what is refused is refused."""
        acts: list[Callable[[Connection], object]] = [
            self.hold,
            self.release,
            self.send_again,
            self.retry,
            self.erase,
            self.start,
            self.switch,
            self.advance,
            self.advance,
            self.remove,
        ]
        for _ in range(ACTS):
            if self.random.random() < 1 / 3:
                self.random.choice((self.deliver, self.publish, self.sweep))()
                continue
            try:
                with self.harness.engine.begin() as connection:
                    self.random.choice(acts)(connection)
            except SlipwayError:
                continue

    def deliver(self) -> None:
        verdicts = (Delivered(), Dead("410"), RetryLater(TOOK))
        claims = self.harness.claim()
        if claims:
            self.harness.record_attempts(
                *(Attempt(claim, self.random.choice(verdicts), TOOK) for claim in claims)
            )

    def publish(self) -> None:
        action = self.random.choice(("ticket_rollback", "ticket_win"))
        self.harness.say(action, self.random.choice(TICKETS))

    def sweep(self) -> None:
        self.harness.close_due()
        self.harness.end_windows()

    def hold(self, connection: Connection) -> None:
        ticket = self.random.choice(TICKETS)
        hold_ticket(connection, OPERATOR, ticket, person=ANN, now=self.harness.now)

    def release(self, connection: Connection) -> None:
        ticket = self.random.choice(TICKETS)
        release_ticket(connection, OPERATOR, ticket, person=ANN, now=self.harness.now)

    def send_again(self, connection: Connection) -> None:
        if notices := connection.execute(DELIVERED).scalars().all():
            chosen = self.random.choice(notices)
            send_notices_again(connection, chosen, person=ANN, now=self.harness.now)

    def retry(self, connection: Connection) -> None:
        if notices := connection.execute(DEAD).scalars().all():
            chosen = self.random.choice(notices)
            resolve(connection, chosen, Resolution.RETRY, now=self.harness.now)

    def erase(self, connection: Connection) -> None:
        player = self.random.choice((PLAYER, "somebody"))
        erase_player(connection, OPERATOR, player, keys=KEYS, person=ANN, now=self.harness.now)

    def start(self, connection: Connection) -> None:
        now = self.harness.now
        times = {"since": format_timestamp(now - DAYS), "until": format_timestamp(now)}
        kind, arguments = self.random.choice(
            (("retry_notices", {}), ("send_operator_again", {"operator": OPERATOR, **times}))
        )
        start_job(connection, kind, arguments, person=ANN, now=now)

    def switch(self, connection: Connection) -> None:
        act = self.random.choice((disable_operator, enable_operator))
        act(connection, OPERATOR, now=self.harness.now, person=ANN)

    def advance(self, connection: Connection) -> None:
        later = self.harness.now + self.random.choice((0, 2)) * timedelta(minutes=1)
        advance_jobs(connection, now=later, limit=3)

    def remove(self, connection: Connection) -> None:
        remove_expired(connection, before=self.harness.now - CLOSE_DELAY, limit=2)


def end(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        end_partnership(connection, OPERATOR, person=ANN, now=harness.now)


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_acts_on_the_same_tickets_at_once_block_none_and_come_to_rest(
    harness, engine, records, seed
):
    for number, ticket in enumerate(TICKETS):
        player = PLAYER if number % 3 else "somebody"
        harness.say("ticket_open", ticket, **{**SLIP, "player_id": player})
    for ticket in TICKETS[:6]:
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(CLOSE_DELAY)

    actors = [Actor(harness, seed + each) for each in range(4)]
    at_once(*(actor.act for actor in actors))
    records.check()
    at_once(*(actor.act for actor in actors), partial(end, harness))
    records.check()

    for player in (PLAYER, "somebody"):
        # One that is under way goes on.
        with suppress(NotPossible), engine.begin() as connection:
            erase_player(connection, OPERATOR, player, keys=KEYS, person=ANN, now=harness.now)
    for _ in range(5):
        harness.wait(timedelta(minutes=2))
        run_job(harness)
    with engine.begin() as connection:
        assert {str(job.state) for job in list_jobs(connection)} == {"done"}
    assert held(engine) == {}
    records.check()

"""Every process of the Procfile, scaled up and down under load: nothing is lost or repeated."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, TextClause, text

from producers.simulation.partner import Respond, Rule, SimulatedPartner
from producers.wall_clock import utc_now
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import LINES, Running
from tests.support.wait import eventually

OPERATOR = "acme"
SCALED = ("intake", "deliver")
EACH = 3
TICKETS = 300  # in each wave
# All notices, the deliveries on both sides, and what is left to do.
NOTICES = text("SELECT t.ticket_id, n.action FROM notice n JOIN ticket t ON t.id = n.ticket"
            " ORDER BY n.ticket, n.number")  # fmt: skip
ENDS = text("SELECT coalesce(ended, 'waits'), count(*) FROM notice GROUP BY 1")
EVENTS = text("SELECT event_id, outcome FROM ticket_event")


@dataclass(frozen=True, slots=True)
class ScaledStack:
    """All processes, ready, and the world around them."""

    redis: Redis
    engine: Engine
    partner: SimulatedPartner
    running: dict[str, Running]
    began: datetime = field(default_factory=lambda: utc_now() - timedelta(hours=1))

    def publish(self, wave: int, action: str, tickets: range) -> set[str]:
        """Put one event for each ticket onto the stream; their ids."""
        at = self.began + timedelta(minutes=wave)
        ids = [f"{action}-{wave}-{number}" for number in tickets]
        with self.redis.pipeline(transaction=False) as pipe:
            for event_id, number in zip(ids, tickets, strict=True):
                event = {
                    "event_id": event_id,
                    "occurred_at": at.isoformat(),
                    "action": action,
                    "data": {"operator": OPERATOR, "ticket_id": f"ticket-{number}"},
                }
                pipe.xadd("ticket-events", {"event": json.dumps(event)})
            pipe.execute()
        return set(ids)

    def taken(self) -> dict[str | None, list[str | None]]:
        """What the partner acted upon, by ticket, in its order."""
        taken = defaultdict(list)
        for entry in self.partner.ledger.entries():
            if entry.taken:
                taken[entry.ticket_id].append(entry.action)
        return taken

    def rows(self, question: TextClause) -> list[tuple[Any, Any]]:
        """The answer of the database, in pairs."""
        with self.engine.begin() as connection:
            return [(first, second) for first, second in connection.execute(question)]


@pytest.fixture
def stack(
    tmp_path: Path, engine: Engine, database: str, redis: Redis, redis_url: str
) -> Iterator[ScaledStack]:
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        gateway_port=str(free_port()),
        flower_port=str(free_port()),
        console_port=str(free_port()),
        chunk_size="50",  # every intake gets its part of a wave
    )
    release = Running("release", env=env, folder=tmp_path)
    assert release.code() == 0, release.wrote()
    with ExitStack() as ending, SimulatedPartner(secret=SECRET) as partner:
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator(OPERATOR, partner.url)
        numbers = {name: EACH if name in SCALED else 1 for name in LINES}
        running = {}
        for name, most in numbers.items():
            for number in range(1, most + 1):
                process = Running(name, env=env, folder=tmp_path, number=number)
                ending.callback(process.kill)
                running[process.node] = process
        eventually(lambda: all_ready(tmp_path, running))
        eventually(lambda: len(redis.xinfo_consumers("ticket-events", "slipway")) == EACH)
        # So that a deliverer has calls in flight when it is told to stop.
        partner.behave(Rule(Respond(seconds=0.02)))
        yield ScaledStack(redis, engine, partner, running)


def has_come_to(stack: ScaledStack, wave: int) -> bool:
    """The partner heard of tickets of this wave."""
    return len(stack.taken()) > wave * TICKETS


def all_ready(folder: Path, running: dict[str, Running]) -> bool:
    for process in running.values():
        process.must_live()
    ready = {path.name.partition("@")[0] for path in folder.glob("slipway-*/*.ready")}
    return {"intake", "intake-2", "intake-3", "deliver", "deliver-2", "deliver-3", "sweep"} <= ready


@pytest.mark.slow
def test_scaled_up_and_down_under_load_the_ledgers_on_both_sides_agree(stack: ScaledStack):
    """Published = applied = delivered, whichever process is stopped meanwhile; all end with 0."""
    published: set[str] = set()

    # Each wave is on its way when a process is told to stop, and the test does not wait for that.
    for wave, leaver in enumerate(("intake-2", "deliver-2", "intake-3", "deliver-3", "sweep")):
        new = range(wave * TICKETS, (wave + 1) * TICKETS)
        published |= stack.publish(wave, "ticket_win", new)
        if wave:
            before = range((wave - 1) * TICKETS, wave * TICKETS)
            published |= stack.publish(wave, "ticket_rollback", before)
        eventually(partial(has_come_to, stack, wave))
        stack.running[leaver].tell_to_end()
    done = {"delivered": len(published)}
    eventually(lambda: dict(stack.rows(ENDS)) == done)
    for node in ("beat", "flower", "gateway", "console", "deliver", "intake"):
        stack.running[node].tell_to_end()
    codes = {node: process.code() for node, process in stack.running.items()}

    # uvicorn ends cleanly, then raises the signal that it got; the image makes it a 0.
    assert codes == dict.fromkeys(stack.running, 0) | dict.fromkeys(
        ("gateway", "console"), -SIGTERM
    )
    assert dict.fromkeys(published, "applied") == dict(stack.rows(EVENTS))
    assert stack.redis.xlen("ticket-events") == 0
    expected = defaultdict(list)
    for ticket_id, action in stack.rows(NOTICES):
        expected[ticket_id].append(action)
    assert stack.taken() == expected
    assert Counter(map(len, expected.values())) == {1: TICKETS, 2: 4 * TICKETS}
    assert all("Traceback" not in process.wrote() for process in stack.running.values())

"""A backup is one that was restored: deploy/BACKUP.md, done as it stands there."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.migrations.runner import upgrade
from producers.simulation.partner import SimulatedPartner
from producers.simulation.verdict import check_all_sequences
from producers.wall_clock import utc_now
from tests.support.backups import Restorable, commands, restorable_servers, run
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.running_slipway import SLIPWAY
from tests.support.wait import eventually

EACH = 40  # tickets
CLOSE_DELAY = timedelta(seconds=1)
MOMENT = timedelta(milliseconds=1)
UNSENT = "SELECT count(*) FROM notice WHERE ended IS NULL"
UNCLOSED = "SELECT count(*) FROM ticket WHERE status = 'resulted'"
EARLY = """
    SELECT count(*) FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN notice n ON n.ticket = t.id AND n.generation = t.generation AND n.action = 'ticket_win'
     WHERE t.status = 'closed' AND t.closed_at < n.ended_at + o.close_delay"""
OUTCOMES = "SELECT json_object_agg(event_id, outcome) FROM ticket_event"
REPEATS = "SELECT sum(repeats) FROM ticket_event"


@dataclass
class RestorableStack:
    """Servers that can be restored, a partner that takes each notice once, and the workers."""

    servers: Restorable
    partner: SimulatedPartner
    folder: Path
    record: list[dict[str, Any]] = field(default_factory=list)  # the backend's own
    running: list[Running] = field(default_factory=list)

    def start(self, *names: str) -> None:
        """Start processes of the Procfile."""
        env = environment(
            self.folder,
            database_url=self.servers.postgres.url,
            redis_url=self.servers.valkey.url,
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
            sweep_interval="200ms",
        )
        self.running += [Running(name, env=env, folder=self.folder) for name in names]

    def kill(self) -> None:
        """End all processes as a power cut would."""
        for process in self.running:
            process.kill()
        self.running.clear()

    def say(self, action: str, tickets: range, *, at: datetime) -> None:
        """Have the backend record an event for each ticket, and publish it."""
        events = [
            {
                "event_id": f"{len(self.record) + number}-{action}-{ticket}",
                "occurred_at": at.isoformat(),
                "action": action,
                "data": {"operator": "acme", "ticket_id": f"ticket-{ticket}"},
            }
            for number, ticket in enumerate(tickets)
        ]
        self.record += events
        self.publish(events)

    def publish(self, events: list[dict[str, Any]]) -> None:
        """Put events on the stream, as they are."""
        with Redis.from_url(self.servers.valkey.url) as redis:
            for event in events:
                redis.xadd(STREAM, {"event": json.dumps(event)})

    def publish_again(self) -> int:
        """Do what the page says, from the base backup on: more than was lost; how many events.

        What was refused because its ticket was closed is left out.
        """
        fell_due = {
            ticket_id: due
            for _, ticket_id, due in self.servers.rows(commands("fell-due", self.servers.backup))
        }
        again = [event for event in self.record[EACH:] if not too_late(event, fell_due)]
        file = self.folder / "lost.ndjson"
        file.write_text("".join(json.dumps(event) + "\n" for event in again))
        run(
            f"{SLIPWAY} publish {file} --wait 1m",
            SLIPWAY_REDIS_URL=self.servers.valkey.url,
            SLIPWAY_DATABASE_URL=self.servers.postgres.url,
            SLIPWAY_SECRET_KEY=KEY,
        )
        return len(again)

    def until_delivered(self) -> None:
        """Wait until all that was published is applied, and all notices were taken."""

        def delivered() -> bool:
            for process in self.running:
                process.must_live()
            with Redis.from_url(self.servers.valkey.url) as redis:
                left = redis.xlen(STREAM)
            return not left and not self.servers.ask(UNSENT)

        eventually(delivered)

    def until_closed(self) -> None:
        """Wait until no ticket waits for its closing, and the partner knows."""
        eventually(lambda: not self.servers.ask(UNCLOSED))
        self.until_delivered()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RestorableStack]:
    with (
        restorable_servers() as servers,
        SimulatedPartner(secret=SECRET, deduplicate=True) as partner,
        ExitStack() as ending,
    ):
        upgrade(servers.postgres.url)
        engine = open_engine(servers.postgres.url, application_name="tests")
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator("acme", partner.url, close_delay=CLOSE_DELAY)
        engine.dispose()
        servers.archive()
        made = RestorableStack(servers, partner, tmp_path)
        ending.callback(made.kill)
        yield made


@pytest.mark.slow
def test_after_a_restore_to_an_older_point_and_the_later_events_again_the_books_agree(
    stack: RestorableStack,
):
    """Each event counts once, each settlement is taken once, and nothing closes early."""
    first, second, third = (range(n * EACH, (n + 1) * EACH) for n in range(3))
    began = utc_now()
    stack.start("intake", "deliver", "beat")
    stack.say("ticket_win", first, at=began)
    stack.until_delivered()
    stack.servers.back_up()
    stack.say("ticket_win", second, at=began)
    stack.say("ticket_rollback", first[::2], at=began + MOMENT)
    stack.until_delivered()
    known = len(stack.record)
    moment = stack.servers.ask("SELECT clock_timestamp()::text")
    stack.say("ticket_rollback", second[::2], at=began + MOMENT)
    stack.say("ticket_win", third, at=began + MOMENT)
    stack.say("ticket_win", first[::2], at=began + 2 * MOMENT)
    stack.until_delivered()
    stack.start("sweep")
    stack.until_closed()
    stack.say("ticket_rollback", first[1:2], at=utc_now())
    stack.until_delivered()
    stack.servers.until_archived()
    before = stack.servers.ask(OUTCOMES)
    sent_before = keys(stack)
    late = stack.record[-1]["event_id"]
    assert before.pop(late) == "rejected", "the partner holds its ticket closed"

    stack.kill()
    stack.servers.restore(until=moment)
    assert len(stack.servers.ask(OUTCOMES)) == known, "it stands as at that moment"
    assert stack.servers.rows(commands("unanswered", stack.servers.backup)) == []
    stack.start("intake", "deliver", "beat")  # not the sweep: it would close over lost rollbacks
    assert stack.publish_again() == len(stack.record) - EACH - 1
    stack.until_delivered()
    stack.start("sweep")
    stack.until_closed()

    assert stack.servers.ask(OUTCOMES) == before == dict.fromkeys(ids(stack)[:-1], "applied")
    assert stack.servers.ask(REPEATS) == known - EACH
    assert stack.servers.ask(EARLY) == 0
    assert keys(stack) == sent_before, "nothing was sent that had not been sent before"
    received = stack.partner.ledger.entries()
    assert set(Counter(entry.idempotency_key for entry in received if entry.taken).values()) == {1}
    verdict = check_all_sequences(received, close_delay=CLOSE_DELAY)
    assert verdict.violations == ()
    assert verdict.closed == 3 * EACH - len(second[::2])
    assert verdict.repeats > 0, "the partner was notified again"


def too_late(event: dict[str, Any], fell_due: dict[str, datetime]) -> bool:
    """It is a rollback of later than its ticket's closing."""
    due = fell_due.get(event["data"]["ticket_id"])
    at = datetime.fromisoformat(event["occurred_at"])
    return event["action"] == "ticket_rollback" and due is not None and at > due


def keys(stack: RestorableStack) -> set[str | None]:
    """Return the idempotency keys of what the partner was sent."""
    return {entry.idempotency_key for entry in stack.partner.ledger.entries()}


def ids(stack: RestorableStack) -> list[str]:
    """The ids of all that the backend published."""
    return [event["event_id"] for event in stack.record]

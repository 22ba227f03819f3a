"""Two delivery processes as the Procfile starts them, each with its own line to the database."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from celery import Celery
from redis import Redis
from sqlalchemy import make_url

from models.database.engine import open_engine
from producers.simulation.partner import Behaviour, LedgerEntry, Rule, SimulatedPartner
from tests.support import databases
from tests.support.breakable_connection import Line, line_to
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, DeliverySetup, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.wait import eventually
from worker.local.servers import Servers

OPERATOR = "acme"
ENDS = """
    SELECT n.ended FROM notice n JOIN ticket t ON t.id = n.ticket
     WHERE t.ticket_id = ANY(:tickets) ORDER BY n.ticket, n.number"""
WAKEUP_SECONDS = 0.2  # between two wakeups while a test waits; beat sends one a second


class Deliverer(Running):
    """A delivery process that can be frozen, and cut off from the database."""

    def __init__(self, *, env: Mapping[str, str], folder: Path, number: int, line: Line) -> None:
        url = make_url(env["SLIPWAY_DATABASE_URL"]).set(host="127.0.0.1", port=line.port)
        own = {"SLIPWAY_DATABASE_URL": url.render_as_string(hide_password=False)}
        super().__init__("deliver", env={**env, **own}, folder=folder, number=number)
        self.line = line

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def sent(self) -> set[tuple[str, str, int]]:
        """Ticket, action and number of the claim of its calls, as its log at `debug` tells."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        calls = [json.loads(line) for line in lines if '"notice_sent"' in line]
        return {(call["ticket_id"], call["action"], call["claim"]) for call in calls}


@dataclass(slots=True)
class Pair:
    """Deliverers 1 and 2, ready, and the world around them."""

    first: Deliverer
    second: Deliverer
    delivery: DeliverySetup
    partner: SimulatedPartner
    redis: Redis
    backend: Celery
    woken_at: float = field(default=0.0, init=False)

    def publish(self, *words: str, tickets: list[str]) -> None:
        """Apply these events for each ticket, `win` for `ticket_win`, all at once."""
        events = [(f"ticket_{word}", ticket) for ticket in tickets for word in words]
        self.delivery.publish(OPERATOR, *events)

    def answers(self, ticket: str, *behaviours: Behaviour) -> None:
        """The first request about a ticket gets the first of *behaviours*; the rest is taken."""
        for behaviour in reversed(behaviours):
            self.partner.behave(Rule(behaviour, ticket_id=ticket, first=1))

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait as `eventually` does, with a wakeup now and then, as beat sends them.

        A failure tells what the partner received last, and what the processes wrote last.
        """

        def condition_holds() -> bool:
            self.first.must_live()
            self.second.must_live()
            self._wake()
            return bool(condition())

        try:
            eventually(condition_holds)
        except AssertionError as late:
            calls = [entry.format_line() for entry in self.partner.ledger.entries()][-30:]
            logs = (self.first.wrote(), self.second.wrote())
            raise AssertionError("\n".join([str(late), *calls, *logs])) from late

    def sent_about(self, ticket: str) -> list[str]:
        """What the partner was sent about a ticket, in order: `win` for `ticket_win`."""
        return [(entry.action or "").removeprefix("ticket_") for entry in self.calls(ticket)]

    def calls(self, *tickets: str) -> list[LedgerEntry]:
        """The requests about these tickets, in the order of their arrival."""
        return [entry for entry in self.partner.ledger.entries() if entry.ticket_id in tickets]

    def ends(self, *tickets: str) -> list[str | None]:
        """How the notices of these tickets ended, in their order."""
        return [row.ended for row in self.delivery.rows(ENDS, tickets=list(tickets))]

    def present(self) -> datetime:
        """The database's clock, by which the processes go."""
        (row,) = self.delivery.rows("SELECT clock_timestamp() AS now")
        now: datetime = row.now
        return now

    def freeze(self, deliverer: Deliverer) -> None:
        """Freeze it while it is on the line with a partner, with no transaction open."""

        def it_holds_nothing() -> bool:
            deliverer.freeze()
            open_ones = self.delivery.rows(
                "SELECT FROM pg_stat_activity WHERE client_port = ANY(:ports) AND state <> 'idle'",
                ports=deliverer.line.seen_from(),
            )
            if open_ones:
                deliverer.thaw()
            return not open_ones

        eventually(it_holds_nothing)

    def _wake(self) -> None:
        now = time.monotonic()
        if now >= self.woken_at + WAKEUP_SECONDS and not self.redis.llen("deliver"):
            self.woken_at = now
            self.backend.send_task("deliver", queue="deliver")


@contextmanager
def deliver_pair(
    servers: Servers, database_url: str, folder: Path, settings: Mapping[str, str]
) -> Iterator[Pair]:
    """Start both on an empty Valkey and wait until they take work; *folder* is their TMPDIR.

    They are killed at the end, frozen or not.
    """
    env = environment(
        folder,
        database_url=database_url,
        redis_url=servers.redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        log_level="debug",
        **settings,
    )
    server = make_url(database_url)
    (now,) = databases.ask(database_url, "SELECT clock_timestamp() - interval '1 minute'")
    engine = open_engine(database_url, application_name="tests")
    with ExitStack() as ending:
        ending.callback(engine.dispose)
        redis = ending.enter_context(Redis.from_url(servers.redis_url))
        redis.flushall()
        backend = Celery("backend", broker=servers.redis_url, set_as_current=False)
        ending.enter_context(closing(backend))
        partner = ending.enter_context(SimulatedPartner(secret=SECRET, deduplicate=True))
        delivery = ending.enter_context(delivery_setup_on(engine, ManualClock(now)))
        delivery.operator(OPERATOR, partner.url)

        def start(number: int) -> Deliverer:
            line = ending.enter_context(line_to(server.host or "", server.port or 0))
            started = Deliverer(env=env, folder=folder, number=number, line=line)
            ending.callback(started.kill)
            return started

        pair = Pair(start(1), start(2), delivery, partner, redis, backend)
        eventually(lambda: _are_ready(pair, folder))
        yield pair


def _are_ready(pair: Pair, folder: Path) -> bool:
    for deliverer in (pair.first, pair.second):
        deliverer.must_live()
    ready = {path.name.partition("@")[0] for path in folder.glob("slipway-*/*.ready")}
    return ready == {pair.first.node, pair.second.node}

"""Every process of the Procfile behind PgBouncer in transaction mode, with very few sessions.

Other clients of the same pooler change the sessions' settings meanwhile.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.publishers.keys import add_publisher
from models.users import Role, add_token
from producers.simulation.partner import SimulatedPartner
from tests.support import databases
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.pooler import leave_settings_behind, needs_pgbouncer, pgbouncer
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

OPERATOR = "acme"
SESSIONS = 3  # of the server, for ten times as many connections
TICKETS = 400
HELD = "ticket-7"
PERSON = Person("test", "needed")
PROCESSES = ("intake", "intake-2", "deliver", "deliver-2", "sweep", "beat", "gateway", "console")
STRANGE = {
    "statement_timeout": "1h",
    "lock_timeout": "1h",
    "default_transaction_isolation": "serializable",
    "search_path": "pg_catalog",
    "bytea_output": "escape",
    "IntervalStyle": "sql_standard",
    "synchronous_commit": "off",
}
OURS = text("""
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'slipway %'""")
OTHERWISE = text("SELECT event_id, outcome FROM ticket_event WHERE outcome <> 'applied'")
WAITING = text("SELECT sum(unfinished), count(close_due_at) FROM ticket")
TICKETS_BY_STATUS = text("SELECT status, count(*) FROM ticket GROUP BY 1")
NOTICES = text("SELECT t.ticket_id, n.action FROM notice n JOIN ticket t ON t.id = n.ticket"
            " ORDER BY n.ticket, n.number")  # fmt: skip
CLOSE_NOW = text("UPDATE ticket SET close_due_at = now() WHERE close_due_at IS NOT NULL")
EVENTS = text("SELECT event_id, outcome FROM ticket_event")


@dataclass(frozen=True, slots=True)
class PooledStack:
    """All processes, ready, and those that talk to them."""

    pooler_url: str
    redis: Redis
    engine: Engine
    partner: SimulatedPartner
    running: dict[str, Running]
    gateway: httpx.Client
    console: httpx.Client

    def rows(self, question: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - a statement
        """The answer of the database, in pairs."""
        with self.engine.begin() as connection:
            return [(first, second) for first, second in connection.execute(question)]

    def act(self, what: str) -> None:
        """Have the console do something about a ticket."""
        path = f"/api/v1/tickets/{OPERATOR}/{HELD}/{what}"
        done = self.console.post(path, json={"why": "a test"}, headers={"Idempotency-Key": what})
        assert done.status_code == 200, done.text


@pytest.fixture(params=["", "options"], ids=["options refused", "options ignored"])
def pooler_url(request: pytest.FixtureRequest, empty_database, open_folder) -> Iterator[str]:
    with pgbouncer(
        empty_database, open_folder, mode="transaction", ignores=request.param, pool_size=SESSIONS
    ) as url:
        yield url


@pytest.fixture
def stack(
    tmp_path: Path, pooler_url: str, empty_database: str, redis: Redis, redis_url: str
) -> Iterator[PooledStack]:
    gateway, console = free_port(), free_port()
    env = environment(
        tmp_path,
        database_url=pooler_url,
        migration_database_url=empty_database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        gateway_port=str(gateway),
        console_port=str(console),
        chunk_size="50",
    )
    with ExitStack() as ending:
        release = Running("release", env=env, folder=tmp_path)
        assert release.code() == 0, release.wrote()
        engine = open_engine(empty_database, application_name="tests")
        ending.callback(engine.dispose)
        partner = ending.enter_context(SimulatedPartner(secret=SECRET))
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator(OPERATOR, partner.url)
        running = {}
        for node in PROCESSES:
            name, _, number = node.partition("-")
            running[node] = Running(name, env=env, folder=tmp_path, number=int(number or 1))
            ending.callback(running[node].kill)
        key, token = keys(engine)
        clients = [
            ending.enter_context(
                httpx.Client(
                    base_url=f"http://127.0.0.1:{port}",
                    headers=header,
                    timeout=30,
                )
            )
            for port, header in (
                (gateway, {"X-Api-Key": key}),
                (console, {"Authorization": f"Bearer {token}"}),
            )
        ]
        stack = PooledStack(pooler_url, redis, engine, partner, running, *clients)
        eventually(lambda: all_ready(stack, tmp_path))
        yield stack


def keys(engine: Engine) -> tuple[str, str]:
    """A publisher's key and a token of the operations API."""
    with engine.begin() as connection:
        key = add_publisher(connection, "backend", person=PERSON)
        token = add_token(
            connection,
            "ci",
            role=Role.OPERATIONS,
            person=PERSON,
            now=DatabaseClock().now(connection),
        )
    return key, token.token


def all_ready(stack: PooledStack, folder: Path) -> bool:
    for process in stack.running.values():
        process.must_live()
    ready = {path.name.partition("@")[0] for path in folder.glob("slipway-*/*.ready")}
    try:
        answers = {each.get("/readyz").status_code for each in (stack.gateway, stack.console)}
    except httpx.TransportError:
        return False
    return {"intake", "intake-2", "deliver", "deliver-2", "sweep"} <= ready and answers == {200}


def published(stack: PooledStack, action: str, tickets: range, *, by_http: bool) -> set[str]:
    """Publish one event for each ticket; their ids."""
    events = [
        {
            "event_id": f"{action}-{number}",
            "action": action,
            "data": {"operator": OPERATOR, "ticket_id": f"ticket-{number}"},
        }
        for number in tickets
    ]
    if by_http:
        answer = stack.gateway.post("/events", json=events)
        assert answer.status_code == 202, answer.text
    else:
        with stack.redis.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.xadd("ticket-events", {"event": json.dumps(event)})
            pipe.execute()
    return {str(event["event_id"]) for event in events}


@needs_pgbouncer
@pytest.mark.slow
def test_published_is_applied_is_told_is_closed(stack: PooledStack, empty_database: str):
    ids: set[str] = set()
    for first in range(0, TICKETS, 50):
        tickets = range(first, first + 50)
        ids |= published(stack, "ticket_win", tickets, by_http=first % 100 == 0)
        leave_settings_behind(stack.pooler_url, STRANGE, sessions=1)
    eventually(lambda: (HELD, "ticket_win") in stack.rows(NOTICES))
    stack.act("hold")
    again = range(0, TICKETS, 4)
    ids |= published(stack, "ticket_rollback", again, by_http=False)
    ids |= published(stack, "ticket_lost", again, by_http=True)
    stack.act("release")
    sessions = databases.ask(empty_database, str(OURS))

    eventually(lambda: waits_for_its_closing(stack, ids))
    with stack.engine.begin() as connection:
        connection.execute(CLOSE_NOW)
    eventually(lambda: is_closed(stack))
    for process in stack.running.values():
        process.tell_to_end()
    for process in stack.running.values():
        process.code()

    assert sessions <= (SESSIONS,)
    assert dict.fromkeys(ids, "applied") == dict(stack.rows(EVENTS))
    assert stack.redis.xlen("ticket-events") == 0
    stories = Counter(tuple(story) for story in taken(stack).values())
    assert stories == {
        ("ticket_win", "ticket_closed"): TICKETS - len(again),
        ("ticket_win", "ticket_rollback", "ticket_lost", "ticket_closed"): len(again),
    }
    wrote = "".join(process.wrote() for process in stack.running.values())
    assert "Traceback" not in wrote
    assert "unexplained_database_error" not in wrote


def waits_for_its_closing(stack: PooledStack, ids: set[str]) -> bool:
    """Every ticket: the partner took all of it."""
    assert stack.rows(OTHERWISE) == []
    assert len([action for story in taken(stack).values() for action in story]) == len(ids)
    assert stack.rows(WAITING) == [(0, TICKETS)]
    return True


def is_closed(stack: PooledStack) -> bool:
    """Every ticket, and the partner knows."""
    assert stack.rows(TICKETS_BY_STATUS) == [("closed", TICKETS)]
    assert taken(stack) == in_the_database(stack)
    return True


def taken(stack: PooledStack) -> dict[str | None, list[str | None]]:
    """What the partner acted upon, by ticket, in its order."""
    stories = defaultdict(list)
    for entry in stack.partner.ledger.entries():
        if entry.taken:
            stories[entry.ticket_id].append(entry.action)
    return stories


def in_the_database(stack: PooledStack) -> dict[str, list[str]]:
    stories = defaultdict(list)
    for ticket_id, action in stack.rows(NOTICES):
        stories[ticket_id].append(action)
    return stories

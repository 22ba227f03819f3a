"""Everything malformed at once, through the real processes, and what has come of it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import redis as redis_client
from sqlalchemy import Engine, TextClause, text

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from producers.simulation.partner import SimulatedPartner
from tests.faults.damaged_rows import NO_CALLS, Damaged, damage, damage_circuit
from tests.faults.poison import OPERATOR, Entry, entries
from tests.faults.poisoned_lists import list_messages
from tests.faults.poisoned_queue import queue_messages
from tests.support import databases
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.process.queues import DEAD_LETTERS

WORKERS = ("intake", "deliver", "sweep", "beat")
PROMPT = "prompt"  # an operator whose tickets close at once
QUEUES = ("deliver", "sweep", "intake")
TICKETS = 40  # whose whole lives are published among all that
LIFE = ("ticket_open", "ticket_win", "ticket_rollback", "ticket_lost")
QUIET_ROUNDS = 3  # of the sweep, one a second
LEFT = text("""
    SELECT (SELECT count(*) FROM notice WHERE ended IS NULL)
         + (SELECT count(*) FROM ticket_event WHERE outcome = 'parked')""")
ROUND = text("SELECT extract(epoch FROM ended_at) FROM sweep_round")


@dataclass
class MalformedRun:
    """What was sent and written, and what has come of it."""

    engine: Engine
    url: str
    redis: redis_client.Redis
    partner: SimulatedPartner
    folder: Path
    damaged: Damaged
    on_stream: dict[str, Entry] = field(default_factory=dict)  # by the entry's id
    at_queue: list[Entry] = field(default_factory=list)
    in_lists: list[bytes] = field(default_factory=list)
    noise: dict[str, list[str]] = field(default_factory=dict)  # written when all was over
    codes: dict[str, int] = field(default_factory=dict)

    def rows(self, question: TextClause) -> list[Any]:
        """Ask the database."""
        with self.engine.begin() as connection:
            return list(connection.execute(question))

    def lines(self) -> dict[str, list[str]]:
        """What each process has written."""
        return {name: _log(self.folder, name).splitlines() for name in WORKERS}

    def taken(self) -> dict[str | None, list[str | None]]:
        """What the partner acted upon, by ticket, in its order."""
        taken: defaultdict[str | None, list[str | None]] = defaultdict(list)
        for entry in self.partner.ledger.entries():
            if entry.taken:
                taken[entry.ticket_id].append(entry.action)
        return taken

    @property
    def malformed(self) -> int:
        """How many things were."""
        every = (self.on_stream, self.at_queue, self.in_lists, [*self.damaged], NO_CALLS)
        return sum(map(len, every))


@contextmanager
def malformed_run_on(servers: Servers, template: str) -> Iterator[MalformedRun]:
    """Everything malformed was sent, good events among it, and the processes have ended."""
    url = databases.create(servers.database_url, "poisoned", template=template)
    with ExitStack() as ending:
        ending.callback(databases.drop, servers.database_url, "poisoned")
        folder = ending.enter_context(passable_folder())
        redis = ending.enter_context(redis_client.Redis.from_url(servers.redis_url))
        redis.flushall()
        engine = open_engine(url, application_name="tests", pool_size=2)
        ending.callback(engine.dispose)
        partner = ending.enter_context(SimulatedPartner(secret=SECRET))
        _add_operators(engine, partner)
        run = MalformedRun(engine, url, redis, partner, folder, damage(engine))
        env = environment(
            folder,
            database_url=url,
            redis_url=servers.redis_url,
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
        )
        running = [Running(name, env=env, folder=folder) for name in WORKERS]
        for process in running:
            ending.callback(process.kill)
        _live_through(run, running)
        yield run


def _add_operators(engine: Engine, partner: SimulatedPartner) -> None:
    """One for the lives, one whose tickets close at once, and some with a damaged circuit."""
    with delivery_setup_on(engine, ManualClock()) as delivery:
        delivery.operator(OPERATOR, partner.url)
        delivery.operator(PROMPT, partner.url, close_delay=timedelta())
        for number, document in enumerate(NO_CALLS):
            delivery.operator(f"circuit-{number}", partner.url)
            damage_circuit(engine, f"circuit-{number}", document)
    damage_circuit(engine, OPERATOR, NO_CALLS[0])


def _live_through(run: MalformedRun, running: list[Running]) -> None:
    """Send it all, wait until it is dealt with, look for noise, stop."""
    poison = entries(16)
    for step, action in enumerate(LIFE):
        for queue in QUEUES:
            messages = list(list_messages(queue, 2))[step :: len(LIFE)]
            run.in_lists += messages
            run.redis.lpush(queue, *messages)
        for ticket in range(TICKETS):
            for bad in islice(poison, 4):
                run.on_stream[_add(run.redis, bad.fields)] = bad
            _say(run.redis, action, f"good-{ticket}")
    run.at_queue += queue_messages(5)
    for bad in run.at_queue:
        run.redis.lpush("tickets", bad.fields[b"event"])
    for ticket in range(TICKETS):
        _say(run.redis, "ticket_win", f"prompt-{ticket}", operator=PROMPT)
    eventually(lambda: _is_over(run, running))
    for ticket_id in (*run.damaged.parked, *run.damaged.facts):
        _say(run.redis, "ticket_rollback", ticket_id)
    eventually(lambda: _is_over(run, running))
    before = run.lines()
    _let_rounds_pass(run)
    run.noise = {name: lines[len(before[name]) :] for name, lines in run.lines().items()}
    for process in running:
        process.tell_to_end()
    run.codes = {process.name: process.code() for process in running}


def _say(
    redis: redis_client.Redis, action: str, ticket_id: str, *, operator: str = OPERATOR
) -> None:
    data = {"operator": operator, "ticket_id": ticket_id}
    event = {"event_id": f"{action}-{ticket_id}", "action": action, "data": data}
    _add(redis, {b"event": json.dumps(event).encode()})


def _add(redis: redis_client.Redis, fields: dict[bytes, bytes]) -> str:
    given: dict[Any, Any] = {**fields}
    id_: Any = redis.xadd(STREAM, given)
    return str(id_.decode())


def _is_over(run: MalformedRun, running: list[Running]) -> bool:
    """Nothing waits anywhere any more, and no process has ended."""
    for process in running:
        process.must_live()
    assert run.redis.xlen(STREAM) == 0
    assert run.redis.llen("tickets") == 0
    assert run.redis.llen(DEAD_LETTERS) >= len(run.in_lists)
    ((left,),) = run.rows(LEFT)
    assert left == 0
    return True


def _let_rounds_pass(run: MalformedRun) -> None:
    """Let the sweep go round a few times, run a second."""
    for _ in range(QUIET_ROUNDS):
        last = run.rows(ROUND)
        eventually(lambda last=last: run.rows(ROUND) != last)  # type: ignore[misc] # of this round


def _log(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(encoding="utf-8")

"""SIGTERM to everything under load: all end well and in time, and nothing finished is repeated."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine, TextClause, text

from models.events.stream_contract import GROUP, STREAM
from models.operators.interventions import Person
from models.publishers.keys import add_publisher
from producers.simulation.partner import Respond, Rule, SimulatedPartner
from tests.faults.steady_load import OPERATOR, Load
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manifests import cluster
from tests.support.manual_clock import ManualClock
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.procfile_processes import LINES, Running
from tests.support.wait import eventually

TWO_OF = ("intake", "deliver", "sweep")
UNDER_WAY = 300  # requests the partner has had when all processes are told to stop
NOTICES = text("""
    SELECT count(*) FILTER (WHERE ended = 'delivered') AS delivered,
           count(*) FILTER (WHERE ended IS NULL) AS waiting,
           count(*) FILTER (WHERE lease IS NOT NULL) AS leased FROM notice""")
EVENTS = text("SELECT event_id, outcome, repeats FROM ticket_event")


@dataclass(frozen=True, slots=True)
class RunningStack:
    """All processes, ready."""

    engine: Engine
    redis: Redis
    partner: SimulatedPartner
    load: Load
    env: dict[str, str]
    folder: Path
    running: list[Running]

    def rows(self, question: TextClause) -> list[Any]:
        """Ask the database."""
        with self.engine.begin() as connection:
            return list(connection.execute(question))

    def stop(self, processes: Sequence[Running]) -> dict[str, tuple[int, float]]:
        """Tell all of them at once; how each ended, and after how many seconds."""
        signalled_at = time.monotonic()
        for process in processes:
            process.tell_to_end()
        with ThreadPoolExecutor(len(processes)) as threads:
            ended = threads.map(
                lambda process: (process.code(), time.monotonic() - signalled_at), processes
            )
            return {process.node: end for process, end in zip(processes, ended, strict=True)}


@pytest.fixture
def stack(
    tmp_path: Path, engine: Engine, database: str, redis: Redis, redis_url: str
) -> Iterator[RunningStack]:
    port = free_port()
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        gateway_port=str(port),
        flower_port=str(free_port()),
        console_port=str(free_port()),
        chunk_size="50",
    )
    with ExitStack() as ending, SimulatedPartner(secret=SECRET) as partner:
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator(OPERATOR, partner.url)
        with engine.begin() as connection:
            person = Person("test", "needed")
            key = add_publisher(connection, "backend", operators=[OPERATOR], person=person)
        load = Load(redis, f"http://127.0.0.1:{port}", key)
        running = [
            Running(name, env=env, folder=tmp_path, number=number)
            for name in LINES
            for number in range(1, 3 if name in TWO_OF else 2)
        ]
        for process in running:
            ending.callback(process.kill)
        made = RunningStack(engine, redis, partner, load, env, tmp_path, running)
        eventually(lambda: all_ready(made))
        partner.behave(Rule(Respond(seconds=0.1)))  # so there is a backlog, and calls in flight
        yield made


def all_ready(stack: RunningStack) -> bool:
    for process in stack.running:
        process.must_live()
    ready = {path.name.partition("@")[0] for path in stack.folder.glob("slipway-*/*.ready")}
    assert {f"{name}{more}" for name in TWO_OF for more in ("", "-2")} <= ready
    assert len(stack.redis.xinfo_consumers(STREAM, GROUP)) == 2
    try:
        page = f"{stack.load.gateway}/readyz"
        return httpx.get(page, timeout=30, verify=NO_AUTHORITIES).status_code == 200
    except httpx.TransportError:
        return False


def grace_seconds() -> dict[str, int]:
    """How long Kubernetes lets each process end by itself."""
    pods = cluster("small").pods()
    return {name: pods[name]["terminationGracePeriodSeconds"] for name in LINES}


@pytest.mark.slow
def test_everything_told_to_stop_under_load_ends_well_and_nothing_is_repeated(stack: RunningStack):
    go_on = threading.Event()
    with stack.load.running(), ThreadPoolExecutor(2) as beside:
        uploading = beside.submit(stack.load.upload, go_on)
        eventually(lambda: len(stack.partner.ledger.entries()) >= UNDER_WAY)
        eventually(lambda: stack.redis.xlen(STREAM) > 0)  # it is not idle
        stopping = beside.submit(stack.stop, stack.running)
        eventually(lambda: is_refused(stack.load.gateway))
        go_on.set()  # the upload was in hand: it is finished
        ends = stopping.result()
        status, uploaded = uploading.result()
    left = stack.redis.xpending(STREAM, GROUP)
    consumers = stack.redis.xinfo_consumers(STREAM, GROUP)
    (at_the_stop,) = stack.rows(NOTICES)
    answered = stack.partner.ledger.entries()

    # uvicorn ends cleanly, then raises the signal that it got; the image makes it a 0.
    codes = dict.fromkeys(ends, 0) | dict.fromkeys(("gateway", "console"), -SIGTERM)
    assert {node: code for node, (code, _) in ends.items()} == codes
    grace = grace_seconds()
    late = {node: took for node, (_, took) in ends.items() if took > grace[node.partition("-")[0]]}
    assert late == {}
    assert status == 202
    assert (left["pending"], consumers) == (0, [])  # no entry was left with a consumer
    assert at_the_stop.leased == 0
    assert all(entry.taken and entry.status == 200 for entry in answered)
    assert at_the_stop.delivered == len(answered)
    assert at_the_stop.waiting > 0, "it was not under load"
    assert all("Traceback" not in process.wrote() for process in stack.running)

    go_on_and_finish(stack)

    events = stack.rows(EVENTS)
    assert {row.event_id for row in events} >= stack.load.accepted | uploaded
    assert {(row.outcome, row.repeats) for row in events} == {("applied", 0)}
    keys = Counter(entry.idempotency_key for entry in stack.partner.ledger.entries())
    assert len(keys) == len(events)
    assert set(keys.values()) == {1}


def is_refused(url: str) -> bool:
    """Return whether no process listens there any more."""
    try:
        httpx.get(f"{url}/healthz", timeout=30)
    except httpx.TransportError:
        return True
    return False


def go_on_and_finish(stack: RunningStack) -> None:
    """Start an intake and a deliverer again, and let them do what is left."""
    stack.partner.behave_well()
    again = [
        Running(name, env=stack.env, folder=stack.folder, number=3)
        for name in ("intake", "deliver", "beat")
    ]
    try:
        eventually(lambda: is_done(stack))
        assert {code for code, _ in stack.stop(again).values()} == {0}
    finally:
        for process in again:
            process.kill()


def is_done(stack: RunningStack) -> bool:
    (notices,) = stack.rows(NOTICES)
    return not stack.redis.xlen(STREAM) and not notices.waiting

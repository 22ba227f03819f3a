"""Slipway against the peer: events applied with all cores, and the whole life of a ticket."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from tests.load.environment import BenchEnvironment, Database
from tests.load.intake_rows import running_intakes
from tests.load.life_row import CLOSE_DELAY, CORES, OPERATORS, lives, until_closed, until_counted
from tests.load.peer.rows import Row
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.support.celery_process import ROOT

WARM = 50
PEER_TABLES = "peer_ticket, peer_event, peer_notice"
PEER_APPLIED = "SELECT count(*) FROM peer_event"
PEER_LIVED = (
    "SELECT count(*) FROM peer_notice WHERE action = 'ticket_closed' AND delivered_at IS NOT NULL"
)


def measure(
    environment: BenchEnvironment,
    samples: Samples,
    *,
    rounds: int,
    events: int,
    tasks: int,
    peer_lives: int,
) -> None:
    """Take turns; each side in a database of its own, the workers of one side at a time."""
    with (
        open_sink() as sink,
        environment.database("peer") as theirs,
        environment.database("ours") as ours,
        environment.database(
            "lives", sink=sink.url, operators=OPERATORS, close_delay=CLOSE_DELAY
        ) as living,
    ):
        Row.metadata.create_all(theirs.engine)
        for _ in range(rounds):
            with peer(theirs, sink=None):
                rate = peer_rate(theirs, None, tasks)
            samples.add("peer, events applied/s", rate)
            with running_intakes(ours, CORES) as applied:
                mine = applied(events)
            samples.add("Slipway, events applied on all cores/s", mine)
            samples.ratio("intake_against_peer", mine / rate)
            with peer(theirs, sink=sink):
                rate = peer_rate(theirs, sink, peer_lives)
            samples.add("peer, whole lives/s", rate)
            mine = lives(living, sink, events)
            samples.add("Slipway, whole lives/s", mine)
            samples.ratio("life_against_peer", mine / rate)


@contextmanager
def peer(database: Database, *, sink: Sink | None) -> Iterator[None]:
    """Run the peer's worker."""
    environment = database.environment
    os.environ["PEER_DATABASE"] = database.url
    os.environ["PEER_REDIS"] = environment.servers.redis_url
    os.environ["PEER_SINK"] = sink.url if sink else ""
    os.environ["PEER_CLOSE_DELAY"] = str(CLOSE_DELAY.total_seconds())
    command = [sys.executable, "-m", "celery", "-A", "tests.load.peer.tasks", "--quiet", "worker"]
    with (environment.folder / "peer.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-c", str(CORES), "--without-gossip", "--without-mingle"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def peer_rate(database: Database, sink: Sink | None, tasks: int) -> float:
    """Events a second, put on the queue all at once, until they are applied; with a *sink*, lived.

    What it does first warms it up, as Slipway is: connections, prepared statements, imports.
    """
    from tests.load.peer.tasks import QUEUE, app, apply  # noqa: PLC0415 - reads its environment

    app.conf.broker_url = database.environment.servers.redis_url
    with database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {PEER_TABLES}"))
    before = sink.counts().closed if sink else 0
    for number in range(WARM):
        apply.delay(_event(f"W-{number}"))
    _until(database, sink, before, WARM)
    for number in range(tasks):
        apply.apply_async((_event(f"T-{number}"),), queue="peer-prepared")
    with database.environment.redis() as redis:
        began = time.perf_counter()
        redis.rename("peer-prepared", QUEUE)
        _until(database, sink, before, WARM + tasks)
        return tasks / (time.perf_counter() - began)


def _until(database: Database, sink: Sink | None, before: int, count: int) -> None:
    if sink is None:
        until_counted(database, PEER_APPLIED, count)
    else:
        until_closed(database, sink, before + count, PEER_LIVED, count)


def _event(ticket: str) -> dict[str, object]:
    return {
        "event_id": f"win-{ticket}",
        "action": "ticket_win",
        "occurred_at": "2026-11-20T10:00:00.123Z",
        "data": {"operator": "acme", "ticket_id": ticket},
    }

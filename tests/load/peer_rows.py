"""Slipway against the peer: events applied with all cores, and the whole life of a ticket."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import text

from tests.load.house import Database, House
from tests.load.intake_rows import LASTING_MAX, running_intakes
from tests.load.peer.rows import Row
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.load.wave import fill
from tests.support.celery_process import ROOT
from tests.support.wait import eventually

CORES = 2
CLOSE_DELAY = timedelta(seconds=0.2)  # short of what it takes to work: it is waited for once
WARM = 50
PEER_TABLES = "peer_ticket, peer_event, peer_notice"
PEER_APPLIED = "SELECT count(*) FROM peer_event"
PEER_LIVED = (
    "SELECT count(*) FROM peer_notice WHERE action = 'ticket_closed' AND delivered_at IS NOT NULL"
)
LIVED = "SELECT count(*) FROM notice WHERE action = 'ticket_closed' AND ended = 'delivered'"


def measure(house: House, samples: Samples, *, rounds: int, events: int, tasks: int) -> None:
    """Take turns; each side in a database of its own, the workers of one side at a time."""
    with (
        open_sink() as sink,
        house.database("peer") as theirs,
        house.database("ours", sink=sink.url, operators=1, close_delay=CLOSE_DELAY) as ours,
    ):
        Row.metadata.create_all(theirs.engine)
        for _ in range(rounds):
            with peer(theirs, sink=None):
                rate = peer_rate(theirs, tasks, PEER_APPLIED)
            samples.add("peer, events applied/s", rate)
            with running_intakes(ours, CORES) as applied:
                samples.add("Slipway, events applied on all cores/s", applied(events))
            mine = samples.last("Slipway, events applied on all cores/s")
            samples.ratio("intake_against_peer", mine / rate)
            with peer(theirs, sink=sink):
                rate = peer_rate(theirs, tasks, PEER_LIVED)
            samples.add("peer, whole lives/s", rate)
            mine = lives(ours, events)
            samples.add("Slipway, whole lives/s", mine)
            samples.ratio("life_against_peer", mine / rate)
            sink.receipts()


def lives(database: Database, events: int) -> float:
    """Whole lives a second, with one of each worker, from the stream to the last receipt."""
    database.empty()
    with database.workers("intake", "deliver", "sweep", "beat"), database.house.redis() as redis:
        fill(redis, WARM, name="W")
        _until(database, LIVED, WARM)
        database.empty()
        before = time.perf_counter()
        fill(redis, events)
        _until(database, LIVED, events)
        return events / (time.perf_counter() - before)


@contextmanager
def peer(database: Database, *, sink: Sink | None) -> Iterator[None]:
    """Run the peer's worker."""
    house = database.house
    os.environ["PEER_DATABASE"] = database.url
    os.environ["PEER_REDIS"] = house.servers.redis_url
    os.environ["PEER_SINK"] = sink.url if sink else ""
    os.environ["PEER_CLOSE_DELAY"] = str(CLOSE_DELAY.total_seconds())
    command = [sys.executable, "-m", "celery", "-A", "tests.load.peer.tasks", "--quiet", "worker"]
    with (house.folder / "peer.log").open("ab") as log:
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


def peer_rate(database: Database, tasks: int, question: str) -> float:
    """Events a second, put on the queue all at once, until *question* counts them."""
    from tests.load.peer.tasks import QUEUE, app, apply  # noqa: PLC0415 - reads its environment

    app.conf.broker_url = database.house.servers.redis_url
    with database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {PEER_TABLES}"))
    for number in range(WARM):
        apply.delay(_event(f"W-{number}"))
    _until(database, question, WARM)
    for number in range(tasks):
        apply.apply_async((_event(f"T-{number}"),), queue="peer-prepared")
    with database.house.redis() as redis:
        before = time.perf_counter()
        redis.rename("peer-prepared", QUEUE)
        _until(database, question, WARM + tasks)
        return tasks / (time.perf_counter() - before)


def _event(ticket: str) -> dict[str, object]:
    return {
        "event_id": f"win-{ticket}",
        "action": "ticket_win",
        "occurred_at": "2026-11-20T10:00:00.123Z",
        "data": {"operator": "acme", "ticket_id": ticket},
    }


def _until(database: Database, question: str, count: int) -> None:
    def there() -> bool:
        with database.engine.begin() as connection:
            return int(connection.execute(text(question)).scalar_one()) >= count

    eventually(there, within=LASTING_MAX)

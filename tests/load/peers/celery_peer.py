"""The plain Celery peer of `make bench` as a contender: a task per event, a countdown per close."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from redis import Redis
from sqlalchemy import Engine, text

from tests.load.environment import BenchEnvironment
from tests.load.life_row import CORES
from tests.load.peer.rows import Row
from tests.load.peers.contender import AtWork, Counted
from tests.load.peers.program_peer import own_database
from tests.load.sink import Sink
from tests.support.celery_process import ROOT

CLOSE_DELAY = timedelta(hours=24)
ENDING_MAX = timedelta(seconds=30)
TABLES = text("""
    SELECT (SELECT count(*) FROM peer_ticket WHERE status = 'resulted'),
           (SELECT count(*) FROM peer_notice WHERE delivered_at IS NOT NULL)""")
UNACKNOWLEDGED = "unacked"  # kombu's: what workers hold until its time has come
PACKAGES = ("celery", "psycopg", "redis", "requests", "sqlalchemy")


class CeleryPeer:
    """Celery on Redis; its timers are tasks that a worker holds."""

    name = "celery"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        packages = (f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
        return f"Python {platform.python_version()}, {', '.join(packages)}"

    @contextmanager
    def at_work(self, environment: BenchEnvironment, sink: Sink) -> Iterator[AtWork]:
        with own_database(environment, "celery") as (_, engine), environment.redis() as redis:
            redis.flushall()
            Row.metadata.create_all(engine)
            os.environ |= {
                "PEER_DATABASE": engine.url.render_as_string(hide_password=False),
                "PEER_REDIS": environment.servers.redis_url,
                "PEER_SINK": sink.url,
                "PEER_CLOSE_DELAY": str(CLOSE_DELAY.total_seconds()),
            }
            try:
                with _worker(environment) as pid:
                    yield AtWork(
                        engine=engine,
                        programs=[pid],
                        servers=[environment.servers.valkey.pid],
                        settle=lambda first, count: _put(environment, redis, first, count),
                        counted=lambda: _counted(engine, redis),
                    )
            finally:
                redis.flushall()


@contextmanager
def _worker(environment: BenchEnvironment) -> Iterator[int]:
    line = [sys.executable, "-m", "celery", "-A", "tests.load.peer.tasks", "--quiet", "worker"]
    with (environment.folder / "celery.log").open("ab") as log:
        process = subprocess.Popen(
            [*line, "-c", str(CORES), "--without-gossip", "--without-mingle"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(ENDING_MAX.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _put(environment: BenchEnvironment, redis: Redis, first: int, count: int) -> None:
    """Put the events on the queue all at once: no publisher takes part in what is measured."""
    from tests.load.peer.tasks import QUEUE, app, apply  # noqa: PLC0415 - reads its environment

    app.conf.broker_url = environment.servers.redis_url
    for number in range(first, first + count):
        event = {
            "event_id": f"win-{number}",
            "action": "ticket_win",
            "occurred_at": "2026-11-20T10:00:00.123Z",
            "data": {"operator": "acme", "ticket_id": f"T-{number:07}"},
        }
        apply.apply_async((event,), queue="peer-prepared")
    redis.rename("peer-prepared", QUEUE)


def _counted(engine: Engine, redis: Redis) -> Counted:
    with engine.connect() as connection:
        settled, notified = connection.execute(TABLES).one()
    return Counted(settled, notified, redis.hlen(UNACKNOWLEDGED))

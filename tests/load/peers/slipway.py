"""Slipway as a contender: the processes of its `Procfile`, two of those that have most to do."""

import importlib.metadata
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from tests.load.environment import BenchEnvironment
from tests.load.life_row import OPERATORS, WORKERS
from tests.load.peers.contender import AtWork, Counted
from tests.load.sink import Sink
from tests.load.wave import fill

COUNTED = text("""
    SELECT (SELECT count(*) FROM ticket WHERE result = 'won') AS settled,
           (SELECT count(*) FROM notice WHERE ended = 'delivered') AS notified,
           (SELECT count(*) FROM ticket
             WHERE close_due_at > now() + interval '23 hours') AS timers""")
PACKAGES = ("celery", "psycopg", "pycurl", "redis", "sqlalchemy")


class Slipway:
    """Slipway itself; every partner with its default limits."""

    name = "slipway"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        packages = (f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
        return f"this checkout; {', '.join(packages)}; Python {platform.python_version()}"

    @contextmanager
    def at_work(self, environment: BenchEnvironment, sink: Sink) -> Iterator[AtWork]:
        with (
            environment.database("slipway", sink=sink.url, operators=OPERATORS) as database,
            database.workers(*WORKERS) as programs,
            environment.redis() as redis,
        ):

            def settle(first: int, count: int) -> None:
                fill(redis, count, name=f"F{first}", operators=OPERATORS)

            yield AtWork(
                engine=database.engine,
                programs=programs,
                servers=[environment.servers.valkey.pid],
                settle=settle,
                counted=lambda: counted(database.engine),
            )


def counted(engine: Engine) -> Counted:
    """What its tables say."""
    with engine.connect() as connection:
        return Counted(*connection.execute(COUNTED).one())

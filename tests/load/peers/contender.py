"""What the benchmark asks of a contender, and what it measures of each."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Engine, text

from tests.load.environment import BenchEnvironment
from tests.load.pooler_cost import spent
from tests.load.sink import Sink
from tests.support.wait import eventually

WARM = 400  # jobs: connections, prepared statements, imports
LASTING_MAX = timedelta(minutes=10)
STANDING = text("SELECT pg_database_size(current_database()), pg_current_wal_insert_lsn() - '0/0'")


@dataclass(frozen=True, slots=True)
class Counted:
    """What a contender's own records say: tickets settled, partners notified, timers that wait."""

    settled: int
    notified: int
    timers: int


@dataclass(frozen=True, slots=True)
class AtWork:
    """A contender that runs, with nothing to do yet.

    *programs*: the processes that it consists of. *servers*: those that only it needs.
    """

    engine: Engine
    programs: list[int]
    servers: list[int]
    settle: Callable[[int, int], None]  # so many tickets, from this number on
    counted: Callable[[], Counted]


class Contender(Protocol):
    """One way to settle tickets, notify partners and keep timers."""

    @property
    def name(self) -> str:
        """What `--peers` calls it."""

    def missing(self) -> str:
        """Say why it cannot run here; empty: it can."""

    def version(self) -> str:
        """Name its packages and their versions."""

    def at_work(self, environment: BenchEnvironment, sink: Sink) -> AbstractContextManager[AtWork]:
        """Run it in a database of its own."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a round gave: microseconds of a processor and bytes are of each job."""

    jobs_a_second: float
    programs: float
    postgres: float
    servers: float
    size: float
    wal: float
    repeats: int  # requests that the sink had more than there were jobs


def measure(
    contender: Contender, environment: BenchEnvironment, sink: Sink, *, jobs: int
) -> Measured:
    """Warm it up, then time so many jobs, until the sink and its own records count all of them."""
    with contender.at_work(environment, sink) as at_work:
        before = sink.counts().requests
        at_work.settle(0, WARM)
        until_all(at_work, sink, before + WARM, WARM)
        groups = (at_work.programs, [environment.servers.postgres.pid], at_work.servers)
        size, wal = standing(at_work.engine)
        had = [sum(map(spent, pids)) for pids in groups]
        began = time.perf_counter()
        at_work.settle(WARM, jobs)
        until_all(at_work, sink, before + WARM + jobs, WARM + jobs)
        took = time.perf_counter() - began
        have = [sum(map(spent, pids)) for pids in groups]
        size_after, wal_after = standing(at_work.engine)
        programs, database, servers = (
            (now - then) * 1e6 / jobs for now, then in zip(have, had, strict=True)
        )
        return Measured(
            jobs_a_second=jobs / took,
            programs=programs,
            postgres=database,
            servers=servers,
            size=(size_after - size) / jobs,
            wal=(wal_after - wal) / jobs,
            repeats=sink.counts().requests - before - WARM - jobs,
        )


def until_all(at_work: AtWork, sink: Sink, requests: int, jobs: int) -> None:
    """Wait for the sink, which costs nothing to ask, then for the contender's own records."""
    eventually(lambda: sink.counts().requests >= requests, within=LASTING_MAX)
    all_of_them = Counted(jobs, jobs, jobs)

    def recorded() -> bool:
        assert (counted := at_work.counted()) == all_of_them, f"{counted} of {jobs}"
        return True

    eventually(recorded, within=LASTING_MAX)


def standing(engine: Engine) -> tuple[int, int]:
    """Bytes of the database, and of all WAL so far."""
    with engine.connect() as connection:
        size, wal = connection.execute(STANDING).one()
    return int(size), int(wal)

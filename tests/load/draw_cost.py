"""What a draw costs by the processor: a settlement against a plain event, settled and told, closed.

    python -m tests.load.draw_cost [--before CHECKOUT] [--tickets 20000] [--rounds 3]

CHECKOUT is one of the code to compare with, as `git worktree add CHECKOUT COMMIT` makes it; it runs
on the schema of this one. The ways take turns. Processor time of each process for each ticket, and
not time of the clock: it says something on a busy machine. Prints a table in Markdown.
"""

import argparse
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final

from models.events.stream_contract import STREAM
from tests.load.draw_rows import LASTING_MAX, buy, feed, make_due, until_told
from tests.load.environment import BenchEnvironment, Database, open_environment
from tests.load.life_row import OPERATORS, WARM
from tests.load.pooler_cost import postgres_of, spent
from tests.load.results import Samples, say
from tests.load.sink import open_sink
from tests.load.wave import fill
from tests.support.celery_process import ROOT
from tests.support.wait import eventually

PLAIN, SETTLED = "plain event", "lottery settlement"
TOLD, CLOSED = "settled and told", "closed and told"
POSTGRES: Final = "PostgreSQL"
CLOCK: Final = "by the clock"
WORKERS: Final = ("intake", "deliver", "sweep")
WAKING: Final = "beat"


@dataclass(frozen=True, slots=True)
class Way:
    """Code to measure, and what it took: microseconds of a ticket, by rounds."""

    name: str
    root: Path = ROOT
    took: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, what: str, took: Mapping[str, float]) -> None:
        """Keep what the processes took in this round."""
        for process, microseconds in took.items():
            self.took[what, process].append(microseconds)


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int, tickets: int) -> None:
    """Take turns between plain events and settlements, on the same intake."""
    way = Way("now")
    for _ in range(rounds):
        _applied(environment, way, tickets)
        for what in (PLAIN, SETTLED):
            for process in ("intake", POSTGRES):
                samples.add(f"{what}, {process}, us", way.took[what, process][-1])
        plain, settled = (way.took[what, "intake"][-1] for what in (PLAIN, SETTLED))
        samples.ratio("settlement", plain / settled)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--tickets", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("applied", "told"), help="one half of it")
    given = parser.parse_args()
    ways = [Way("now")]
    if given.before is not None:
        ways.insert(0, Way("before", root=given.before.resolve()))
    with open_environment() as environment:
        for number in range(given.rounds):
            for way in ways if number % 2 else ways[::-1]:
                if given.only != "told":
                    _applied(environment, way, given.tickets)
                if given.only != "applied":
                    _told(environment, way, given.tickets)
                say(f"-- round {number + 1}, {way.name}")
    _print(ways)
    return 0


def _print(ways: list[Way]) -> None:
    names = [way.name for way in ways]
    say(f"| | process | {' | '.join(names)} | last / first |")
    say(f"|---|---|{'---|' * len(names)}---|")
    for what, process in ways[-1].took:
        spread = [way.took[what, process] for way in ways]
        cells = [f"{median(each):.1f} us ({min(each):.1f} to {max(each):.1f})" for each in spread]
        ratio = median(spread[-1]) / median(spread[0])
        say(f"| {what} | {process} | {' | '.join(cells)} | {ratio:.2f} |")


def _applied(environment: BenchEnvironment, way: Way, tickets: int) -> None:
    """Apply as many plain events as settlements, without a deliverer beside the intake."""
    with (
        environment.database("applied", operators=OPERATORS) as database,
        database.workers("intake", root=way.root) as pids,
        environment.redis() as redis,
    ):

        def applied(publish: Callable[[], object]) -> None:
            publish()
            eventually(lambda: int(redis.xlen(STREAM)) == 0, within=LASTING_MAX)

        def plain(count: int, name: str) -> None:
            applied(lambda: fill(redis, count, name=name, operators=OPERATORS))

        plain(WARM, "W")
        database.empty()
        with _measured(database, way, PLAIN, tickets, dict(zip(WORKERS[:1], pids, strict=True))):
            plain(tickets, "T")
        database.empty()
        buy(database, tickets)
        with _measured(database, way, SETTLED, tickets, dict(zip(WORKERS[:1], pids, strict=True))):
            applied(lambda: feed(redis, tickets))


def _told(environment: BenchEnvironment, way: Way, tickets: int) -> None:
    """Hold a draw, then let its tickets close; an intake, a deliverer and a sweep at work."""
    with (
        open_sink() as sink,
        environment.database("told", sink=sink.url, operators=OPERATORS) as database,
    ):
        buy(database, tickets)
        with (
            database.workers(*WORKERS, WAKING, root=way.root) as pids,
            environment.redis() as redis,
        ):
            processes = dict(zip(WORKERS, pids[:-1], strict=True))
            fill(redis, WARM, name="W", operators=OPERATORS)
            until_told(database, sink, WARM)
            with _measured(database, way, TOLD, tickets, processes):
                feed(redis, tickets)
                until_told(database, sink, WARM + tickets)
            os.kill(processes["sweep"], signal.SIGSTOP)
            try:
                make_due(database)
            finally:
                os.kill(processes["sweep"], signal.SIGCONT)
            with _measured(database, way, CLOSED, tickets, processes):
                until_told(database, sink, 2 * (WARM + tickets))


@contextmanager
def _measured(
    database: Database, way: Way, what: str, tickets: int, processes: Mapping[str, int]
) -> Iterator[None]:
    """Add what each process and PostgreSQL, with all of its own, take until the block ends."""
    pids = {**processes, POSTGRES: postgres_of(database)}
    before = {name: spent(pid) for name, pid in pids.items()}
    began = monotonic()
    yield
    clock = (monotonic() - began) / tickets * 1e6
    took = {name: (spent(pid) - before[name]) / tickets * 1e6 for name, pid in pids.items()}
    way.add(what, {**took, "all": sum(took.values()), CLOCK: clock})


if __name__ == "__main__":
    sys.exit(main())

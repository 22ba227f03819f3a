"""What a delivery costs by the processor, the deliver process and PostgreSQL apart.

    python -m tests.load.delivery_cost [--before CHECKOUT] [--notices 16000] [--rounds 5]

CHECKOUT is one of the code to compare with, as `git worktree add CHECKOUT COMMIT` makes it; it runs
on the schema of this one. The ways take turns. Processor time for each notice, and not time of the
clock: it says something on a busy machine. Prints a table in Markdown.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import text

from tests.load.delivery_row import OPERATORS, delivered
from tests.load.environment import BenchEnvironment, Database, open_environment
from tests.load.pooler_cost import children, postgres_of
from tests.load.results import say
from tests.load.sink import open_sink
from tests.support.celery_process import ROOT

WARM_UP: Final = OPERATORS * 128
NANOSECONDS: Final = 1e-3  # in microseconds
COMMITS: Final = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


@dataclass(frozen=True, slots=True)
class Way:
    """Code to measure, and what it took of each notice, by rounds."""

    name: str
    root: Path = ROOT
    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--notices", type=int, default=16_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ways = [Way("now")]
    if given.before is not None:
        ways.insert(0, Way("before", root=given.before.resolve()))
    with open_environment() as environment:
        for turn in range(given.rounds):
            for way in ways[:: 1 if turn % 2 else -1]:
                took = _measured(environment, way, given.notices)
                for what, value in took.items():
                    way.took[what].append(value)
                sys.stderr.write(f"round {turn + 1}, {way.name}: {took}\n")
    _print(ways)
    return 0


def _print(ways: list[Way]) -> None:
    say(f"| of each notice | {' | '.join(way.name for way in ways)} | last / first |")
    say(f"|---|{'---|' * len(ways)}---|")
    for what in ways[-1].took:
        spread = [way.took[what] for way in ways]
        cells = [
            f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in spread
        ]
        ratio = statistics.median(spread[-1]) / statistics.median(spread[0])
        say(f"| {what} | {' | '.join(cells)} | {ratio:.2f} |")


def _measured(environment: BenchEnvironment, way: Way, notices: int) -> Mapping[str, float]:
    with (
        open_sink() as sink,
        environment.database("costs", sink=sink.url, operators=OPERATORS) as database,
        database.workers("deliver", root=way.root) as (pid,),
    ):
        delivered(database, WARM_UP)
        before = _spent(database, pid)
        rate = delivered(database, notices)
        after = _spent(database, pid)
    took = {what: (after[what] - before[what]) / notices for what in after}
    return {**took, "a second": rate}


def _spent(database: Database, pid: int) -> dict[str, float]:
    """What has been spent so far: microseconds of the processor, and how often something was."""
    server = postgres_of(database)
    with database.engine.connect() as connection:
        commits = connection.execute(COMMITS).scalar_one()
    return {
        "deliver, us": _microseconds(pid),
        "PostgreSQL, us": sum(map(_microseconds, children(server))),
        "switches of the deliver process": _switches(pid),
        "transactions": commits,
    }


def _microseconds(pid: int) -> float:
    """The processor time of all threads that a process has."""
    return (
        sum(
            int((thread / "schedstat").read_text(encoding="ascii").split()[0])
            for thread in Path(f"/proc/{pid}/task").iterdir()
        )
        * NANOSECONDS
    )


def _switches(pid: int) -> float:
    lines = (
        line
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for line in (thread / "status").read_text(encoding="utf-8").splitlines()
    )
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


if __name__ == "__main__":
    sys.exit(main())

"""What traces cost a delivery: processor time of the deliver process for each notice.

    .venv/bin/python -m tests.load.traces_row --before CHECKOUT

CHECKOUT is one of the code to compare with, as `git worktree add CHECKOUT COMMIT` makes it. The
ways take turns. Time of the processor and not of the clock: it says something on a busy machine.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from sqlalchemy import Connection, text

from tests.load.delivery_row import OPERATORS, delivered
from tests.load.environment import BenchEnvironment, open_environment
from tests.load.sink import open_sink
from tests.support.celery_process import ROOT
from tests.support.otlp_receiver import otlp_receiver
from tests.support.wait import eventually

WARM_UP = OPERATORS * 32
# Every notice belongs to a trace; of each hundred the spans of one are recorded.
NAME_TRACES = text("""
    UPDATE notice SET traceparent = '00-' || md5(id::text) || '-' || left(md5(id::text), 16)
                                    || CASE WHEN id % 100 = 0 THEN '-01' ELSE '-00' END""")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run the deliverer."""

    name: str
    root: Path = ROOT
    exports: bool = False
    traced: bool = True  # each notice belongs to a trace
    took: list[float] = field(default_factory=list)  # microseconds for each notice, by rounds

    def prepare(self, connection: Connection) -> None:
        """Change the notices that are to be delivered."""
        if self.traced:
            connection.execute(NAME_TRACES)


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--notices", type=int, default=8_000)
    given = parser.parse_args()
    ways = [
        Way("off, no notice of a trace", traced=False),
        Way("off, every notice of a trace"),
        Way("exported, 1 % recorded", exports=True),
    ]
    if given.before is not None:
        ways.insert(0, Way("before", root=given.before, traced=False))
    with open_environment() as environment:
        for turn in range(given.rounds):
            for way in ways:
                way.took.append(_measured(environment, way, given.notices))
                sys.stderr.write(f"round {turn + 1}, {way.name}: {way.took[-1]:.1f} µs\n")
    first = statistics.median(ways[0].took)
    for way in ways:
        median = statistics.median(way.took)
        sys.stdout.write(
            f"{way.name}: {median:.1f} µs ({min(way.took):.1f} to {max(way.took):.1f}),"
            f" {median / first - 1:+.1%}\n"
        )


def _measured(environment: BenchEnvironment, way: Way, notices: int) -> float:
    """Return the deliverer's processor time for each notice, in microseconds."""
    with (
        open_sink() as sink,
        otlp_receiver() as receiver,
        mock.patch.dict(os.environ, _variables(receiver.url) if way.exports else {}),
        environment.database("traces", sink=sink.url, operators=OPERATORS) as database,
        database.workers("deliver", root=way.root) as (pid,),
    ):
        delivered(database, WARM_UP, prepared=way.prepare)
        if way.exports:  # what the first export takes once is no cost of each notice
            eventually(receiver.spans)
        before = _seconds(pid)
        delivered(database, notices, prepared=way.prepare)
        return (_seconds(pid) - before) / notices * 1e6


def _variables(url: str) -> Mapping[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }


def _seconds(pid: int) -> float:
    """Return the processor time of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

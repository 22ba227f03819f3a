"""What the run of the peers is kept as: peers.json, and PEERS.md with what each does not do.

python -m tests.load.peers.page    # make PEERS.md again of peers.json and differences.md
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.load.peers.contender import WARM, Measured
from tests.load.results import spread, this_machine

HERE = Path(__file__).parent
KEPT = HERE.parent
DIFFERENCES = HERE / "differences.md"
SLIPWAY = "slipway"
COLUMNS = {
    "jobs_a_second": "jobs/s",
    "programs": "its processes, µs",
    "postgres": "PostgreSQL, µs",
    "servers": "its own servers, µs",
    "size": "PostgreSQL, bytes",
    "wal": "WAL, bytes",
}


@dataclass(slots=True)
class Results:
    """What the rounds gave, by contender; who could not run here, and who failed, and why."""

    jobs: int
    rounds: dict[str, list[Measured]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, measured: Measured) -> None:
        """Keep what a round gave."""
        self.rounds.setdefault(name, []).append(measured)

    def summed_up(self, *, day: datetime) -> dict[str, Any]:
        """Medians with least and most, and how it went."""
        return {
            "contenders": {name: _figures(rounds) for name, rounds in self.rounds.items()},
            "jobs": self.jobs,
            "rounds": max(map(len, self.rounds.values()), default=0),
            "day": day.date().isoformat(),
            "versions": self.versions,
            "machine": this_machine(),
            "not_run": self.absent,
            "failed": {name: why.partition("\n")[0] for name, why in self.failed.items()},
        }

    def keep(self, *, day: datetime) -> None:
        """Write both files."""
        kept = self.summed_up(day=day)
        (KEPT / "peers.json").write_text(json.dumps(kept, indent=2) + "\n")
        (KEPT / "PEERS.md").write_text(whole_page(kept))


def _figures(rounds: list[Measured]) -> dict[str, Any]:
    columns = {name: spread([getattr(each, name) for each in rounds]) for name in COLUMNS}
    return {**columns, "repeats": sum(each.repeats for each in rounds)}


def whole_page(kept: dict[str, Any]) -> str:
    """The figures, then what each does not do and does better."""
    return page(kept) + "\n" + DIFFERENCES.read_text()


def page(kept: dict[str, Any]) -> str:
    """Format the figures as Markdown."""
    return "\n".join([*_head(kept), *_table(kept), *_who(kept)])


def _head(kept: dict[str, Any]) -> Iterator[str]:
    machine = kept["machine"]
    yield "# Slipway and its peers"
    yield ""
    yield f"`make bench-peers`, {kept['day']}: {kept['rounds']} rounds that took turns, in each"
    yield f"{kept['jobs']:,} jobs after {WARM} to warm up. {machine['cores']} cores"
    yield f"({machine['processor']}), {machine['memory_gib']} GiB, PostgreSQL 18 and Valkey 9"
    yield "embedded, fsync on. Medians of the rounds, and their range. Microseconds are those of a"
    yield "processor for a job, bytes are of a job, too: both hold where other work lowers jobs/s."
    yield ""


def _table(kept: dict[str, Any]) -> Iterator[str]:
    contenders = kept["contenders"]
    ours = contenders.get(SLIPWAY)
    yield f"| contender | {' | '.join(COLUMNS.values())} | jobs/s of Slipway's |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for name, figures in contenders.items():
        cells = " | ".join(_cell(figures[column]) for column in COLUMNS)
        rate = figures["jobs_a_second"]["median"]
        share = f"{rate / ours['jobs_a_second']['median']:.2f}" if ours else ""
        yield f"| {name} | {cells} | {share} |"
    yield ""


def _cell(figure: dict[str, float]) -> str:
    return f"{figure['median']:,.0f} ({figure['min']:,.0f} to {figure['max']:,.0f})"


def _who(kept: dict[str, Any]) -> Iterator[str]:
    for name, why in kept["not_run"].items():
        yield f"**{name} was not run**: {why}.\n"
    for name, why in kept["failed"].items():
        yield f"**{name} failed**: {why}\n"
    for name, figures in kept["contenders"].items():
        if figures["repeats"]:
            yield f"{name}: the sink had {figures['repeats']} notices more than once.\n"
    yield "| contender | versions |"
    yield "|---|---|"
    for name, versions in kept["versions"].items():
        yield f"| {name} | {versions} |"
    yield ""


if __name__ == "__main__":
    (KEPT / "PEERS.md").write_text(whole_page(json.loads((KEPT / "peers.json").read_text())))

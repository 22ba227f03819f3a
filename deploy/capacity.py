#!/usr/bin/env python
"""Generates the tables of CAPACITY.md from the benchmark's results: `python -m deploy.capacity`.

The results are in tests/load/results.json; a test fails if the page is older. What the benchmark
does not measure was measured once and is here (`Life`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from models.platform.generated_pages import with_sections

PAGE: Final = Path(__file__).with_name("CAPACITY.md")
RESULTS: Final = Path(__file__).parents[1] / "tests/load/results.json"
NOT_MEASURED: Final = "not measured"

DAY: Final = 86_400
PEAK: Final = 5  # times the daily average: a final whistle, a draw
EVENTS: Final = 2  # per ticket: opened and settled
NOTICES: Final = 2  # per ticket: its result and its closing
RETENTION_DAYS: Final = 90  # SLIPWAY_RETENTION
LOADS: Final = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)  # tickets a day
FREEZE_AGE: Final = 200_000_000  # PostgreSQL's autovacuum_freeze_max_age
KILO, MEGA, GIGA, TERA = 1e3, 1e6, 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Life:
    """One ticket, opened with all its fields, won, notified and closed: measured once, with 20,000.

    One of each worker on two cores.
    """

    commits: float = 0.43
    transaction_ids: float = 0.14
    entry_bytes: float = 181  # an event of a few fields on the stream of Valkey 9


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of the benchmark: medians by name."""

    cores: int
    quick: bool
    figures: Mapping[str, float] = field(repr=False)

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> "Measured":
        """Read the content of tests/load/results.json."""
        medians = {name: float(figure["median"]) for name, figure in results["figures"].items()}
        return cls(results["machine"]["cores"], results["machine"]["quick"], medians)

    def figure(self, name: str) -> float | None:
        """Return the figure *name*; `N` in it is a number, and the largest one counts."""
        pattern = re.compile(re.escape(name).replace("N", r"([\d,]+)"))
        matches = [
            (int(match[1].replace(",", "")) if pattern.groups else 0, value)
            for key, value in self.figures.items()
            if (match := pattern.fullmatch(key))
        ]
        return max(matches)[1] if matches else None

    def of_a_core(self, name: str) -> float | None:
        """Return a rate divided by the cores, which were all used for it."""
        whole = self.figure(name)
        return None if whole is None else whole / self.cores


STORED: Final = "PostgreSQL, bytes per closed ticket, all"
WAL: Final = "WAL per whole life, all, bytes"
INTAKE: Final = "Slipway, events applied on all cores/s"
DELIVERY: Final = "Slipway, notices delivered and recorded/s"
SWEEP: Final = "Slipway, N pending, closings/s"
LIVES: Final = "Slipway, whole lives/s"
RATES: Final = (
    ("events applied a second, an intake for each core", INTAKE),
    ("events applied a second, one intake", "Slipway, intakes 1, events/s"),
    ("notices delivered and recorded a second, one deliverer", DELIVERY),
    ("tickets closed a second, one sweep", SWEEP),
    (
        "whole lives a second (won, closed, both notified), two intakes and deliverers, a sweep",
        LIVES,
    ),
)
OTHERS: Final = (
    ("from XADD to the partner, 500 events a second, 99 %",
     "latency at 500 events/s, p99, ms", "ms"),
    ("a draw of N tickets at once: tickets notified a second",
     "draw of N, all notices delivered, tickets/s", ""),
    ("the same N close at once: tickets notified a second",
     "close wave of N, all notices delivered, tickets/s", ""),
    ("a deliverer's claim of due notices, with N held back", "claim, N held back, ms", "ms"),
    ("PostgreSQL, a ticket that waits for its closing, indexes included",
     "PostgreSQL, bytes per pending ticket, N pending, all", "bytes"),
    ("Redis, a ticket that waits for its closing",
     "Redis, bytes per pending ticket, N pending", "bytes"),
    *(
        (f"memory of {process} ²", f"share of {name}, 0 pending, MiB", "MiB")
        for process, name in (
            ("an intake", "intake"), ("a deliverer", "deliver"), ("a sweep", "sweep"),
            ("a gateway", "gateway"), ("beat", "beat"), ("Flower", "flower"),
        )
    ),
)  # fmt: skip


def measured_table(measured: Measured) -> Iterator[str]:
    """Yield the table of measurements, line by line."""
    run = "make bench-quick" if measured.quick else "make bench"
    yield f"`{run}` on {measured.cores} cores, which PostgreSQL, Redis, the workers and the partner"
    yield "shared; a core's part is the whole divided by all of them."
    yield ""
    yield "| what | measured | a core's part |"
    yield "|---|---|---|"
    for what, name in RATES:
        part = measured.of_a_core(name)
        yield f"| {what} | {_number(measured.figure(name))} | {_number(part)} |"
    for what, name, unit in OTHERS:
        yield f"| {what.replace('N', 'many')} | {_number(measured.figure(name), unit)} | |"
    for what, name in (
        ("PostgreSQL, a million tickets that wait",
         "PostgreSQL, bytes per pending ticket, N pending, all"),
        ("PostgreSQL, a million closed tickets", STORED),
        ("WAL, a million whole lives", WAL),
    ):  # fmt: skip
        yield f"| {what} | {_scaled(measured.figure(name), MEGA / GIGA, '.1f', 'GB')} | |"
    entry = Life().entry_bytes
    yield f"| Redis, a million events that wait on the stream ¹ | {entry:.0f} MB | |"


def _scaled(value: float | None, factor: float, form: str, unit: str) -> str:
    return NOT_MEASURED if value is None else f"{value * factor:{form}} {unit}"


def load_table(measured: Measured) -> Iterator[str]:
    """Yield the table of what each load needs, line by line."""
    yield f"| tickets a day | {' | '.join(f'{load:,}' for load in LOADS)} |"
    yield "|---" * (len(LOADS) + 1) + "|"
    for what, cells in _rows(measured):
        yield f"| {what} | {' | '.join(cells)} |"


def _rows(measured: Measured) -> Iterator[tuple[str, list[str]]]:
    life = Life()
    average = [load / DAY for load in LOADS]
    peak = [PEAK * rate for rate in average]
    yield "tickets a second, average", [_number(rate) for rate in average]
    yield f"tickets a second, peak (x {PEAK})", [_number(rate) for rate in peak]
    yield f"events a second, peak (x {EVENTS})", [_number(EVENTS * rate) for rate in peak]
    yield f"notices a second, peak (x {NOTICES})", [_number(NOTICES * rate) for rate in peak]
    cores = [
        ("applying alone", EVENTS, INTAKE),
        ("delivering alone", NOTICES, DELIVERY),
        ("closing alone", 1, SWEEP),
        ("whole lives, all of it at once", 1, LIVES),
    ]
    for what, times, name in cores:
        part = measured.of_a_core(name)
        needed = [NOT_MEASURED if part is None else f"{times * rate / part:,.1f}" for rate in peak]
        yield f"cores at the peak, {what}", needed
    yield "commits a second, peak ¹", [_number(life.commits * rate) for rate in peak]
    wal, stored = measured.figure(WAL), measured.figure(STORED)
    yield "WAL a second, peak", [_scaled(wal, rate / MEGA, ",.1f", "MB") for rate in peak]
    yield "WAL a day", [_scaled(wal, load / GIGA, ",.0f", "GB") for load in LOADS]
    days = [load * RETENTION_DAYS for load in LOADS]
    yield (
        f"PostgreSQL after {RETENTION_DAYS} days",
        [_scaled(stored, tickets / TERA, ",.1f", "TB") for tickets in days],
    )
    rows = [NOTICES * load * RETENTION_DAYS / GIGA for load in LOADS]
    yield "rows of the largest table then", [f"{value:,.2f} billion" for value in rows]
    freezing = [FREEZE_AGE / (life.transaction_ids * load) for load in LOADS]
    yield "days between vacuums against wraparound ¹", [_number(value) for value in freezing]
    outage = [EVENTS * rate * 3600 * life.entry_bytes / GIGA for rate in peak]
    yield (
        "Redis, an hour without PostgreSQL at the peak ¹",
        [f"{value:,.1f} GB" for value in outage],
    )


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return NOT_MEASURED
    text = f"{value:,.0f}" if value >= 100 else f"{round(value, 1) + 0.0:,.1f}"  # noqa: PLR2004 - three digits are enough; and no -0.0
    return f"{text} {unit}".strip()


TABLES: Final = {"measured": measured_table, "loads": load_table}


def render_page(page: str, results: Mapping[str, Any]) -> str:
    """Return *page* with the tables of *results*. Raises ValueError if a mark is missing."""
    measured = Measured.of(results)
    sections = {name: "\n".join(table(measured)) for name, table in TABLES.items()}
    return with_sections(page, "deploy.capacity", sections)


def main() -> None:
    """Write the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What was measured, and the form in which it is kept: results.json and a table in Markdown."""

import json
import os
import platform
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Reach:
    """A row of the table: a ratio, larger is better."""

    what: str
    at_least: float
    aim: float


REACH = {
    "intake": Reach("events applied, one intake, batch 500 / one client of bare SQL", 0.5, 0.8),
    "two_intakes": Reach("events applied, two intakes / two clients of bare SQL", 0.5, 0.8),
    "intake_against_peer": Reach("events applied, all cores / one task per event", 30, 80),
    "life_against_peer": Reach("whole life of a ticket / one task per event", 20, 60),
    "delivery": Reach("notices delivered and recorded, one process / bare client", 0.2, 0.5),
    "delivery_durable": Reach(
        "notices delivered and recorded, one process / bare durable deliverer", 0.5, 0.75
    ),
    "sweep": Reach("closing sweep / bare SQL", 0.5, 0.8),
    "sweep_big": Reach("closing sweep, ten times as many pending / as many", 0.6, 0.75),
    "claim": Reach("claim of due notices, many held back / none held back", 0.8, 0.95),
    "latency_p50_100": Reach("bare chain / p50 from XADD to the partner, 100 events/s", 0.5, 0.75),
    "latency_p99_100": Reach("bare chain / p99 from XADD to the partner, 100 events/s", 0.4, 0.75),
    "latency_p50_500": Reach("bare chain / p50 from XADD to the partner, 500 events/s", 0.5, 0.75),
    "latency_p99_500": Reach("bare chain / p99 from XADD to the partner, 500 events/s", 0.4, 0.75),
    "settlement": Reach("plain event / lottery settlement, the intake's time of each", 0.5, 0.7),
    "console": Reach("150 ms / p95 of the console's slowest page, 10 million tickets", 1, 3),
    "footprint_of_broker": Reach("70 MiB / beat or Flower, whichever is larger", 1, 1.2),
    "footprint_of_worker": Reach("100 MiB / largest of intake, deliver, sweep, gateway", 1, 1.2),
    "start_worker": Reach("2 s / from the start of a worker until it is ready", 1, 1.5),
    "start_help": Reach("0.25 s / `slipway --help`", 1, 1.5),
    "storage": Reach("2,400 B / PostgreSQL's bytes per closed ticket", 1, 1.2),
    "wal": Reach("5,000 B / WAL per whole life", 1, 1.2),
    "memory": Reach("largest process, nothing pending / 10 million pending", 0.9, 1),
}


FULL_ONLY = {"memory", "console"}


@dataclass(slots=True)
class Samples:
    """Figures by their names, and ratios by the names of their rows, one of each a round."""

    figures: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ratios: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=dict)  # by part
    failed: dict[str, str] = field(default_factory=dict)

    def took(self, part: str, seconds: float) -> None:
        """Keep how long a part took, and say it."""
        self.seconds[part] = round(seconds, 1)
        say(f"-- {part} took {seconds:.0f} s")

    def fail(self, part: str, error: Exception) -> None:
        """Keep that a part did not end as it should; what it measured before stays."""
        self.failed[part] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"

    def add(self, name: str, value: float) -> None:
        """Keep a figure of this round, and say it."""
        self.figures[name].append(value)
        say(f"{name}: {value:,.1f}")

    def last(self, name: str) -> float:
        """The figure of this round."""
        return self.figures[name][-1]

    def ratio(self, name: str, value: float) -> None:
        """Keep a ratio of this round, and say it."""
        self.ratios[name].append(value)
        say(f"    => {REACH[name].what}: {value:.2f}")

    def keep(self, *, quick: bool, beside: bool = False) -> None:
        """Write results.json and RESULTS.md.

        *beside*: what other parts left there stays, and so does what is said of the machine.
        """
        kept = self.summed_up(quick=quick)
        if beside:
            former = json.loads((HERE / "results.json").read_text())
            ratios = former["ratios"] | kept["ratios"]
            kept["ratios"] = {name: ratios[name] for name in REACH if name in ratios}
            kept["machine"] = former["machine"]
            for group in ("figures", "seconds"):
                kept[group] = former[group] | kept[group]
            others = former["failed"].items()
            kept["failed"] |= {name: why for name, why in others if name not in self.seconds}
        (HERE / "results.json").write_text(json.dumps(kept, indent=2) + "\n")
        (HERE / "RESULTS.md").write_text(table(kept))

    def summed_up(self, *, quick: bool) -> dict[str, Any]:
        """Medians with least and most, and how it went."""
        ratios = {
            name: {**spread(values), "at_least": REACH[name].at_least, "aim": REACH[name].aim}
            for name, values in self.ratios.items()
        }
        return {
            "ratios": {name: ratios[name] for name in REACH if name in ratios},
            "figures": {name: spread(values) for name, values in self.figures.items()},
            "machine": {**this_machine(), "quick": quick},
            "seconds": self.seconds,
            "failed": self.failed,
        }


def say(line: str) -> None:
    """Print at once: the next number takes its time."""
    print(line, flush=True)  # noqa: T201 - a command's output


def table(kept: dict[str, Any]) -> str:
    """Format what was kept as Markdown."""
    machine = kept["machine"]
    kind = "make bench-quick" if machine["quick"] else "make bench"
    lines = [
        f"`{kind}`, {machine['cores']} cores ({machine['processor']}),",
        f"{machine['memory_gib']} GiB, Python {machine['python']}, PostgreSQL 18 and Valkey 9",
        "embedded, fsync on. Medians of the rounds; larger is better.",
        "",
        *(f"**{name} failed**: {problem}\n" for name, problem in kept["failed"].items()),
        "| ratio | median | min to max | at least | aim |",
        "|---|---|---|---|---|",
    ]
    for name, reach in REACH.items():
        if name not in kept["ratios"]:
            absent = "full run only" if name in FULL_ONLY and machine["quick"] else "not measured"
            lines.append(f"| {reach.what} | {absent} | | {reach.at_least} | {reach.aim} |")
            continue
        summary = kept["ratios"][name]
        lines.append(
            f"| {reach.what} | {summary['median']:.2f}"
            f" | {summary['min']:.2f} to {summary['max']:.2f}"
            f" | {reach.at_least} | {reach.aim} |"
        )
    lines += ["", "| figure | median | min to max |", "|---|---|---|"]
    lines += [
        f"| {name} | {summary['median']:,.1f} | {summary['min']:,.1f} to {summary['max']:,.1f} |"
        for name, summary in kept["figures"].items()
    ]
    took = ", ".join(f"{name} {seconds:,.0f}" for name, seconds in kept["seconds"].items())
    lines += ["", f"Seconds by part: {took}."]
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> dict[str, float]:
    """The median, the least and the most, with four figures."""
    summary = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in summary.items()}


def this_machine() -> dict[str, Any]:
    """What figures of this machine are to be read with."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

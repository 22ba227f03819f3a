"""Runs the simulation on an embedded database and shows its progress."""

import time

from rich.progress import Progress

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from producers.simulation.rehearsal.rehearse import BATCH_LIVES, RehearsalReport, rehearse
from worker.cli.errors import Failed
from worker.cli.output import console, show_json, show_table
from worker.local.servers import embedded_servers

_VIOLATIONS_SHOWN_MAX = 10


def run_simulation(*, lives: int, seed: int, as_json: bool) -> None:
    """Run the simulation and print the report. Raises Failed if a promise was broken."""
    with embedded_servers(durable=False) as servers:
        upgrade(servers.database_url)
        engine = open_engine(servers.database_url, application_name="slipway simulate")
        started = time.monotonic()
        with Progress(console=console(stderr=True), transient=True) as progress:
            bar = progress.add_task("lives", total=lives)
            report = rehearse(
                engine,
                count=lives,
                seed=seed,
                on_batch=lambda so_far: progress.update(bar, completed=so_far.lives),
            )
        engine.dispose()
    seconds = time.monotonic() - started
    if as_json:
        show_json({"seed": seed, "seconds": round(seconds, 1), "report": report})
    else:
        _show(report, seconds)
    if report.violations:
        raise Failed(
            "a promise was broken:\n  "
            + "\n  ".join(report.violations[:_VIOLATIONS_SHOWN_MAX])
            + f"\nrepeat it with: slipway simulate --lives {BATCH_LIVES}"
            f" --seed {report.failing_seed}"
        )


def _show(report: RehearsalReport, seconds: float) -> None:
    rows = [
        ("lives", f"{report.lives:,}"),
        *((f"  {kind}", f"{count:,}") for kind, count in sorted(report.kinds.items())),
        ("events published", f"{report.published:,}"),
        ("requests to the partner", f"{report.calls:,}"),
        ("  repeats among them", f"{report.repeats:,}"),
        ("faults", f"{report.faults:,}"),
        ("rollbacks a moment before closing", f"{report.contested:,}"),
        ("promises broken", f"{len(report.violations):,}"),
        ("lives per second", f"{report.lives / seconds:,.0f}"),
    ]
    show_table(("what", "number"), rows)

"""Provokes the alerts that page somebody, follows the runbook, and looks whether that mends it.

`python -m tests.faults.provoked_alerts` takes some minutes and prints a line for each alert. The
alerts are those of deploy/prometheus/alerts.yml in a hurry, with seconds where they say minutes.
What mends is what deploy/RUNBOOK.md says under their name. Exit code 1 if one does not come, or
does not end.
"""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import typer

from tests.faults.alert_trials import TRIALS, Trial
from tests.support.alert_environment import Stage, alert_stage
from tests.support.prometheus_server import find_programs
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

COMES_WITHIN: Final = timedelta(seconds=60)
ENDS_WITHIN: Final = timedelta(seconds=90)


def main() -> None:
    """Try every alert in turn."""
    missed = 0
    with (
        TemporaryDirectory() as cache,
        passable_folder() as folder,
        alert_stage(folder, find_programs(Path(cache))) as stage,
    ):
        eventually(lambda: not stage.firing(), within=COMES_WITHIN)
        for trial in TRIALS:
            missed += not tried(stage, trial)
    sys.exit(1 if missed else 0)


def tried(stage: Stage, trial: Trial) -> bool:
    """Provoke, wait for all alerts of *trial*, mend, and wait until none fires any more."""
    wanted = set(trial.alerts)
    name = f"{trial.provoke.__name__.replace('_', ' ')}: {', '.join(sorted(wanted))}"
    mend = trial.provoke(stage)
    try:
        came = _seconds(lambda: wanted <= stage.firing(), COMES_WITHIN)
    except AssertionError:
        typer.echo(f"✗ {name}: did not come; firing: {_listed(stage)}")
        mend()
        eventually(lambda: not stage.firing(), within=ENDS_WITHIN)
        return False
    mend()
    try:
        ended = _seconds(lambda: not stage.firing(), ENDS_WITHIN)
    except AssertionError:
        typer.echo(f"✗ {name}: did not end; firing: {_listed(stage)}")
        return False
    typer.echo(f"✓ {name}: came after {came:.0f} s, ended {ended:.0f} s after the mend")
    return True


def _listed(stage: Stage) -> str:
    return ", ".join(sorted(stage.firing())) or "none"


def _seconds(condition: Callable[[], bool], within: timedelta) -> float:
    began = time.monotonic()
    eventually(condition, within=within)
    return time.monotonic() - began


if __name__ == "__main__":
    main()

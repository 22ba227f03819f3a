"""Provokes the alerts that page a person, follows the runbook, and checks that it helps.

`python -m tests.faults.provoked_alerts` takes some minutes and prints a line for each alert. The
alerts are those of deploy/prometheus/alerts.yml in a hurry, with seconds where they say minutes.
The fix is what deploy/RUNBOOK.md says under their name. Exit code 1 if one does not come, or
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
from tests.support.alert_environment import AlertEnvironment, alert_environment
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
        alert_environment(folder, find_programs(Path(cache))) as environment,
    ):
        eventually(lambda: not environment.firing(), within=COMES_WITHIN)
        for trial in TRIALS:
            missed += not tried(environment, trial)
    sys.exit(1 if missed else 0)


def tried(environment: AlertEnvironment, trial: Trial) -> bool:
    """Provoke, wait for all alerts of *trial*, fix, and wait until none fires any more."""
    wanted = set(trial.alerts)
    name = f"{trial.provoke.__name__.replace('_', ' ')}: {', '.join(sorted(wanted))}"
    fix = trial.provoke(environment)
    try:
        came = _seconds(lambda: wanted <= environment.firing(), COMES_WITHIN)
    except AssertionError:
        typer.echo(f"✗ {name}: did not come; firing: {_listed(environment)}")
        fix()
        eventually(lambda: not environment.firing(), within=ENDS_WITHIN)
        return False
    fix()
    try:
        ended = _seconds(lambda: not environment.firing(), ENDS_WITHIN)
    except AssertionError:
        typer.echo(f"✗ {name}: did not end; firing: {_listed(environment)}")
        return False
    typer.echo(f"✓ {name}: came after {came:.0f} s, ended {ended:.0f} s after the fix")
    return True


def _listed(environment: AlertEnvironment) -> str:
    return ", ".join(sorted(environment.firing())) or "none"


def _seconds(condition: Callable[[], bool], within: timedelta) -> float:
    began = time.monotonic()
    eventually(condition, within=within)
    return time.monotonic() - began


if __name__ == "__main__":
    main()

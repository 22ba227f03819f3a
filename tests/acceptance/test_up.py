"""`slipway up`: all processes from nothing installed, a second terminal, a clean stop."""

import json
import os
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.inheritors import inheritors_of
from tests.support.places import passable_folder
from tests.support.processes import processes_of
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
SLIPWAY = f"{sys.executable} -c 'from worker.cli import main; main()'"


def command_line(folder: Path) -> dict[str, str]:
    """An environment without settings but free ports."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    ports = {"SLIPWAY_GATEWAY_PORT": "0", "SLIPWAY_FLOWER_PORT": "0"}
    return {**clean, **ports, "TMPDIR": str(folder)}


@pytest.mark.slow
@pytest.mark.timeout(40)
def test_up_serves_a_second_terminal_and_stops_cleanly():
    with passable_folder() as folder:
        data, screen = folder / "data", folder / "screen"
        with (
            screen.open("wb") as out,
            subprocess.Popen(
                ["/bin/sh", "-c", f"exec {SLIPWAY} up --data {data}"],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=command_line(folder),
            ) as up,
        ):
            eventually(
                lambda: "slipway | ready: " in screen.read_text(), within=timedelta(seconds=30)
            )
            second = subprocess.run(
                ["/bin/sh", "-c", f". {data}/environment && {SLIPWAY} operators list --json"],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
                env=command_line(folder),
            )
            running = " ".join(inheritors_of(folder))
            up.send_signal(signal.SIGTERM)
            code = up.wait()

        assert code == 0, screen.read_text()
        assert json.loads(second.stdout) == []
        for kept in ("environment", "secret-key"):
            assert stat.S_IMODE((data / kept).stat().st_mode) == 0o600
        assert all(name in running for name in ("uvicorn", "intake@", "deliver@", "sweep@", "beat"))
        assert (processes_of(folder), inheritors_of(folder)) == ([], [])
        assert {path.name for path in folder.iterdir()} == {"data", "screen"}

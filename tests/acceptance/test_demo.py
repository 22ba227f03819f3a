"""`slipway demo` as a newcomer runs it: everything for real, once, with few tickets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import processes_of
from tests.support.processes_by_environment import inheritors_of
from tests.support.server_folders import passable_folder

ROOT = Path(__file__).parents[2]
LIVES = ("--tickets", "20", "--over", "2s", "--close-delay", "1s")


@pytest.mark.slow(seconds=30)
def test_the_demo_ends_with_a_verdict_and_leaves_nothing_behind():
    """Issue *Main road*: exit code 0 only if every promise was kept."""
    with passable_folder() as folder:
        ended = subprocess.run(
            [sys.executable, "-c", "from worker.cli import main; main()", "demo", "--json", *LIVES],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        files = [path.name for path in folder.iterdir()]
        processes = processes_of(folder) + inheritors_of(folder)

    assert ended.returncode == 0, ended.stderr
    verdict = json.loads(ended.stdout)
    assert verdict["kept"] is True
    assert verdict["partners"]["tickets"] == 20
    assert verdict["partners"]["closed"] == 20
    assert set(verdict["lives"]) == {
        *("win", "lost", "void", "refund", "rolled back to another result")
    }
    assert (files, processes) == ([], [])

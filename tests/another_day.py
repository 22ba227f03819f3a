"""`python -m tests.another_day --days 400`: the tests, as they will run on that day.

The time of day is shifted for all processes, the servers' included, so a test that has a fixed date
beside a real clock fails here long before it would fail by itself. What follows goes to pytest.

What failed is run once more, one test after the other: a wrong date fails each time. A race that a
busy machine lost is not this run's to find; `make test` finds it, and repeats nothing.
"""

import argparse
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.support import shifted_clock
from tests.support.server_folders import passable_folder

ROOT = Path(__file__).parents[1]
FAILED = 1  # pytest: all was collected and run, and some of it failed


def main() -> int:
    """Run pytest with a shifted clock; its exit code. Without a C compiler nothing is run."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=400, help="from today")
    given, rest = options.parse_known_args()
    later = timedelta(days=given.days)
    with passable_folder() as folder:
        library = shifted_clock.build(folder)
        if library is None:
            sys.stdout.write("==> skipped, the tests on another day: they need Linux and cc\n")
            return 0
        env = {
            **os.environ,
            **shifted_clock.environment(library, later),
            # pytest removes what its clock says is old: here that would be others' folders, too.
            "PYTEST_DEBUG_TEMPROOT": str(folder),
        }
        sys.stdout.write(f"==> pytest, {given.days} days from now\n")
        sys.stdout.flush()
        pytest = [sys.executable, "-m", "pytest", "-o", f"cache_dir={folder}/cache"]
        code = subprocess.run([*pytest, *rest], cwd=ROOT, env=env, check=False).returncode
        if code != FAILED:
            return code
        sys.stdout.write("==> once more, what failed\n")
        sys.stdout.flush()
        again = [*pytest, "--last-failed", "-n", "0"]
        return subprocess.run(again, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.faults`: one trial, and its report. Exit code 0 only if it passed."""

import argparse
import sys
from datetime import timedelta

from tests.faults.chaos import Trial
from tests.faults.environment import perform
from tests.faults.report import in_words
from tests.support.server_folders import passable_folder


def main() -> int:
    """Run what the options say."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, default=600.0, help="of load, at the least")
    options.add_argument("--lives", type=float, default=60.0, help="that begin each second")
    options.add_argument(
        "--every", type=float, default=0.5, help="seconds from one fault to the next"
    )
    options.add_argument("--close-delay", type=float, default=165.0, help="seconds")
    options.add_argument("--longest", type=float, default=6.0, help="seconds a fault lasts")
    options.add_argument(
        "--long", type=float, default=120.0, help="seconds those last that are for minutes"
    )
    options.add_argument(
        "--behind",
        action="store_true",
        help="PgBouncer and sentinels stand before the servers, and both fail over to a replica",
    )
    given = options.parse_args()
    try:
        trial = Trial(
            seed=given.seed,
            seconds=given.seconds,
            lives_per_second=given.lives,
            fault_every=given.every,
            close_delay=timedelta(seconds=given.close_delay),
            longest=given.longest,
            long=given.long,
            behind=given.behind,
        )
    except ValueError as refused:
        options.error(str(refused))
    with passable_folder() as folder:
        report = perform(trial, folder=folder)
    sys.stdout.write(in_words(report) + "\n")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())

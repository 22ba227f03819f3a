"""Compares the clocks of this machine, of Redis and of PostgreSQL."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final

from worker.cli.doctor.finding import Finding, ok, wrong

PART: Final = "clocks"
APART_MAX: Final = timedelta(seconds=2)


def examine_clocks(told: Mapping[str, tuple[datetime, timedelta]]) -> Iterator[Finding]:
    """Compare what clocks told: by name, how far each is ahead of a common one.

    *told* holds (its time, how long after the common beginning it was asked).
    """
    ahead = {name: moment - after for name, (moment, after) in told.items()}
    apart = [
        f"{one} is {abs(ahead[one] - ahead[other]).total_seconds():.1f} s"
        f" {'ahead of' if ahead[one] > ahead[other] else 'behind'} {other}"
        for one, other in combinations(ahead, 2)
        if abs(ahead[one] - ahead[other]) > APART_MAX
    ]
    if apart:
        yield wrong(
            PART,
            "; ".join(apart),
            mend="let all machines keep the time by NTP (chrony, systemd-timesyncd): signatures and"
            " closings go by it",
        )
    else:
        yield ok(PART, f"{', '.join(ahead)} agree to within {APART_MAX.total_seconds():g} s")

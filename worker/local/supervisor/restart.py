"""Decides when a process that died is started again: at once, then with growing pauses."""

from dataclasses import dataclass
from datetime import timedelta

from models.platform.backoff import Backoff

# The last one repeats. A first death is usually an accident, a fifth in a row a wrong setting.
PAUSES = (
    timedelta(0),
    timedelta(seconds=0.5),
    timedelta(seconds=1),
    timedelta(seconds=2),
    timedelta(seconds=5),
)
LIVED_LONG = timedelta(seconds=30)  # whoever lived this long starts with a clean record


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after *pause*; *deaths* in a row so far, this one included."""

    pause: timedelta
    deaths: int


def after_death(*, deaths_before: int, lived: timedelta) -> Restart:
    """What to do about a process that died after it had *lived* for a while."""
    backoff = Backoff(PAUSES, failures=0 if lived >= LIVED_LONG else deaths_before)
    return Restart(pause=backoff.next(), deaths=backoff.failures)

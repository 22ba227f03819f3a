"""How long a migration waits for a lock that others need too, and how often it tries."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from models.platform.backoff import Backoff, doubling

TRIES: Final = 20  # of one revision: about five minutes


@dataclass(frozen=True, slots=True)
class LockRetryPolicy:
    """Limits for one `slipway migrate`."""

    # Every transaction that comes after a migration waiting for a table waits behind it. So it must
    # give way soon.
    lock_timeout: timedelta = timedelta(seconds=3)
    tries: int = TRIES
    pause_min: timedelta = timedelta(seconds=1)
    pause_max: timedelta = timedelta(seconds=15)
    # For another migration. It may build indexes for a long time; waiting for it blocks nothing.
    turn_max: timedelta = timedelta(hours=1)

    def pauses(self) -> Iterator[timedelta]:
        """Yield the pauses between tries: 1 s, 2 s, 4 s … up to 15 s; one fewer than the tries."""
        backoff = Backoff(doubling(self.pause_min, self.pause_max))
        for _ in range(self.tries - 1):
            yield backoff.next()

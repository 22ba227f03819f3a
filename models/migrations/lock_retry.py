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

    # Whoever comes after a migration that waits for a table waits behind it: so it gives way.
    lock_timeout: timedelta = timedelta(seconds=3)
    tries: int = TRIES
    pause_min: timedelta = timedelta(seconds=1)
    pause_max: timedelta = timedelta(seconds=15)
    # Behind another migration. It may build indexes for a long time; we wait in nobody's way.
    turn_max: timedelta = timedelta(hours=1)

    def pauses(self) -> Iterator[timedelta]:
        """Between two tries: 1 s, 2 s, 4 s … up to 15 s; one fewer than there are tries."""
        backoff = Backoff(doubling(self.pause_min, self.pause_max))
        for _ in range(self.tries - 1):
            yield backoff.next()

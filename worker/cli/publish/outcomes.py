"""Watches what becomes of published events, for `slipway publish --wait`."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from redis import Redis

from models.events.stream_contract import STREAM
from models.history.outcomes import PublishedEntry, count_outcomes
from worker.cli.database import transaction
from worker.cli.publish.event_lines import Read

LOOK_SECONDS: Final = 0.1
GROUPS_MAX: Final = 100  # that are kept in memory; before the next one the first must have ended


class OutcomeWatch:
    """Counts outcomes, a group at a time, as the intake takes the groups off the stream."""

    def __init__(self, redis_url: str, *, patience: timedelta) -> None:
        """*patience*: how long to wait, without any group ending, before giving up."""
        self.ended: Counter[str] = Counter()
        self._redis = Redis.from_url(redis_url)
        self._patience = patience.total_seconds()
        self._groups: deque[list[PublishedEntry]] = deque()

    def note(self, group: Sequence[Read], entry_ids: Sequence[str]) -> None:
        """Watch a group that has just been published; wait while there are too many."""
        self._groups.append([_published(*one) for one in zip(group, entry_ids, strict=True)])
        if len(self._groups) > GROUPS_MAX:
            self._wait(until=GROUPS_MAX)

    def finish(self) -> None:
        """Wait for the rest; what has not ended in time is counted as `unapplied`."""
        self._wait(until=0)
        unapplied = sum(len(group) for group in self._groups)
        if unapplied:
            self.ended["unapplied"] = unapplied
        self._redis.close()

    def _wait(self, *, until: int) -> None:
        deadline = time.monotonic() + self._patience
        while len(self._groups) > until:
            if self._is_applied(self._groups[0]):
                with transaction() as connection:
                    self.ended += count_outcomes(connection, self._groups.popleft())
                deadline = time.monotonic() + self._patience
            elif time.monotonic() > deadline:
                return
            else:
                time.sleep(LOOK_SECONDS)

    def _is_applied(self, group: Sequence[PublishedEntry]) -> bool:
        """Entries leave the stream when they are applied or kept as rejected, not before."""
        return not self._redis.xrange(STREAM, group[0].entry_id, group[-1].entry_id, count=1)


def _published(read: Read, entry_id: str) -> PublishedEntry:
    data = read.event["data"]
    named = data if isinstance(data, dict) else {}
    return PublishedEntry(
        operator=str(named.get("operator")),
        ticket_id=str(named.get("ticket_id")),
        event_id=str(read.event.get("event_id")),
        entry_id=entry_id,
    )

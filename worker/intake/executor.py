"""Runs several batches at once: one is decided while another waits for PostgreSQL."""

from collections import deque
from collections.abc import Callable
from threading import Thread

from models.intake.apply import Tickets


class BatchExecutor:
    """Runs up to *batches_max* batches at a time, each in a thread of its own.

    Never two that have a ticket in common: the earlier one ends before the later one starts.
    Not thread-safe.
    """

    def __init__(self, batches_max: int) -> None:
        self._batches_max = batches_max
        self._running: deque[tuple[Tickets, Thread]] = deque()  # the oldest first

    def submit(self, tickets: Tickets, process: Callable[[], object]) -> None:
        """Start *process*, the work on a batch of *tickets*, as soon as these rules permit."""
        while len(self._running) == self._batches_max or any(
            not tickets.isdisjoint(running) for running, _ in self._running
        ):
            self._join_oldest()
        thread = Thread(target=process, name="intake-batch", daemon=True)
        thread.start()
        self._running.append((tickets, thread))

    def drain(self) -> None:
        """Wait until no batch is running."""
        while self._running:
            self._join_oldest()

    def _join_oldest(self) -> None:
        _, thread = self._running.popleft()
        thread.join()

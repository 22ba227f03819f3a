"""Several chunks in hand: one is decided while another waits for PostgreSQL."""

from collections import deque
from collections.abc import Callable
from threading import Thread

from models.intake.apply import Tickets


class BatchExecutor:
    """Carries up to *most* chunks at the same time, each in a thread of its own.

    Never two that speak of the same ticket: what came first is over before the next one begins.
    Not for several threads at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: deque[tuple[Tickets, Thread]] = deque()  # the oldest first

    def give(self, tickets: Tickets, carry: Callable[[], object]) -> None:
        """Begin to *carry* a chunk that speaks of *tickets*, as soon as that may be."""
        while len(self._busy) == self._most or any(
            not tickets.isdisjoint(held) for held, _ in self._busy
        ):
            self._wait_for_the_oldest()
        thread = Thread(target=carry, name="intake-chunk", daemon=True)
        thread.start()
        self._busy.append((tickets, thread))

    def rest(self) -> None:
        """Wait until nothing is in hand."""
        while self._busy:
            self._wait_for_the_oldest()

    def _wait_for_the_oldest(self) -> None:
        _, thread = self._busy.popleft()
        thread.join()

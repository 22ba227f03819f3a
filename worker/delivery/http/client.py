"""The wire to the partners: many calls at once, in a thread of their own.

The thread drives the calls whatever else the process does. So an answer that came in time counts as
in time, also when the database kept the courier waiting, and no request leaves after its time.
"""

from collections import deque
from datetime import timedelta
from queue import Empty, SimpleQueue

from worker.delivery.http.event_loop import EventLoop
from worker.delivery.http.exchange import FinishedCall, HttpCall
from worker.delivery.http.transfer import TransferLimits


class HttpClient:
    """Carries calls. Every call that was started comes back answered, exactly once.

    `start`, `finished` and `close` belong to one thread at a time; `nudge` may come from any.
    """

    def __init__(self, terms: TransferLimits, *, calls_max: int) -> None:
        """Prepare; the thread starts with the first call. *calls_max* bounds calls and memory."""
        self._terms = terms
        self._calls_max = calls_max
        self._open = 0  # started and not yet handed back
        self._to_start: deque[HttpCall] = deque()
        self._over: SimpleQueue[list[FinishedCall]] = SimpleQueue()
        self._loop: EventLoop | None = None

    @property
    def calls_open(self) -> int:
        """How many calls were started and not yet handed back by `finished`."""
        return self._open

    def start(self, call: HttpCall) -> None:
        """Send *call*. Never waits."""
        assert self._open < self._calls_max, "whoever starts calls keeps count of them"
        if self._loop is None:
            self._loop = EventLoop(
                self._terms, self._to_start, self._over, calls_max=self._calls_max
            )
            self._loop.start()
        self._open += 1
        self._to_start.append(call)
        self._loop.wake()

    def finished(self, wait: timedelta) -> list[FinishedCall]:
        """Hand back the calls that are over: at once if there are any, else after *wait* at most.

        Empty when none is over by then, or when it was nudged.
        """
        try:
            over = list(self._over.get(timeout=max(0.0, wait.total_seconds())))
            while not self._over.empty():
                over += self._over.get_nowait()
        except Empty:
            return []
        self._open -= len(over)
        return over

    def nudge(self) -> None:
        """Make whoever waits in `finished` come back. Safe in a signal handler."""
        self._over.put([])

    def close(self) -> None:
        """Drop what is still open and end the thread."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
            self._open = 0

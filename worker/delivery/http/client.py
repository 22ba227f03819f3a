"""The HTTP client: many calls at once, in a thread of its own.

The thread drives the calls whatever else the process does. So a response that came in time counts
as in time, even if the database kept the delivery loop waiting, and no request leaves too late.
"""

from collections import deque
from datetime import timedelta
from queue import Empty, SimpleQueue

from worker.delivery.http.event_loop import EventLoop
from worker.delivery.http.exchange import FinishedCall, HttpCall
from worker.delivery.http.limits import TransferLimits


class HttpClient:
    """Makes calls. Every call that was started is returned by `finished`, exactly once.

    `start`, `finished` and `close` belong to one thread at a time; `interrupt` may come from any.
    """

    def __init__(self, limits: TransferLimits, *, calls_max: int) -> None:
        """Prepare; the thread starts with the first call. *calls_max* bounds calls and memory."""
        self._limits = limits
        self._calls_max = calls_max
        self._open = 0  # started and not yet returned
        self._to_start: deque[HttpCall] = deque()
        self._finished: SimpleQueue[list[FinishedCall]] = SimpleQueue()
        self._loop: EventLoop | None = None

    @property
    def calls_open(self) -> int:
        """How many calls were started and not yet returned by `finished`."""
        return self._open

    def start(self, call: HttpCall) -> None:
        """Send *call*. Never waits."""
        assert self._open < self._calls_max, "the caller keeps within the limit"
        if self._loop is None:
            self._loop = EventLoop(
                self._limits, self._to_start, self._finished, calls_max=self._calls_max
            )
            self._loop.start()
        self._open += 1
        self._to_start.append(call)
        self._loop.wake()

    def finished(self, wait: timedelta) -> list[FinishedCall]:
        """Return the calls that are over: at once if there are any, else after *wait* at most.

        Returns an empty list if none is over by then, or after `interrupt`.
        """
        try:
            finished = list(self._finished.get(timeout=max(0.0, wait.total_seconds())))
            while not self._finished.empty():
                finished += self._finished.get_nowait()
        except Empty:
            return []
        self._open -= len(finished)
        return finished

    def interrupt(self) -> None:
        """Make a waiting `finished` return. Safe in a signal handler."""
        self._finished.put([])

    def close(self) -> None:
        """Drop open calls and end the thread."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
            self._open = 0

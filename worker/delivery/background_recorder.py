"""Records results in a thread of its own, while the courier claims and sends the next notices."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from models.outbox.values import Attempt, Delivered
from worker.delivery.recorder import Recorder


class BackgroundRecorder:
    """Hands results to the recorder: what came while one batch was recorded is the next.

    For one thread; the recorder is the other one's for as long as a batch goes on.
    """

    def __init__(self, recorder: Recorder, over: Callable[[], None]) -> None:
        """*over* is called, in the other thread, when a batch is over; it must not block."""
        self._recorder = recorder
        self._over = over
        self._results: list[Attempt] = []
        self._batch: Future[Counter[str]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")

    def __len__(self) -> int:
        """How many results are not recorded yet."""
        return len(self._results) + len(self._recorder)

    @property
    def goes_on(self) -> bool:
        """A batch was begun, and no `turn` has seen its end."""
        return self._batch is not None

    @property
    def waits(self) -> bool:
        """There are results that the next `turn` would begin to record."""
        return not self.goes_on and bool(self._results or self._recorder.waiting)

    @property
    def well(self) -> bool:
        """All of the results that the next `turn` would begin to record are successes."""
        return self.waits and all(isinstance(one.verdict, Delivered) for one in self._results)

    def add(self, results: Iterable[Attempt]) -> None:
        """Keep *results* until they are recorded."""
        self._results += results

    def turn(self) -> Counter[str]:
        """Say how many of each verdict were recorded, and begin with what came meanwhile.

        Raises errors of the database; what is not recorded stays kept. Never waits.
        """
        recorded: Counter[str] = Counter()
        if self._batch is not None:
            if not self._batch.done():
                return recorded
            ended, self._batch = self._batch, None
            recorded = ended.result()
        self._recorder.add(self._results)
        self._results.clear()
        self._recorder.refresh()
        if self._recorder.waiting:
            self._batch = self._thread.submit(self._recorder.flush)
            self._batch.add_done_callback(lambda _: self._over())
        return recorded

    def wait(self) -> None:
        """Wait for the batch that goes on. It takes no longer than the limits of its statements."""
        if self._batch is not None:
            wait([self._batch])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

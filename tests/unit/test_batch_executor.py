"""Several batches at the same time, and what keeps them apart (worker.intake.loop)."""

from datetime import timedelta
from threading import Barrier, Event

from worker.intake.loop import BatchExecutor

MOMENT = timedelta(milliseconds=200).total_seconds()  # in which what may begin would have begun
LONG = timedelta(seconds=60).total_seconds()
ONE = frozenset({("acme", "1")})
OTHER = frozenset({("acme", "2")})
THIRD = frozenset({("acme", "3")})


class Pair:
    """Two batches: the first gives the second a moment to begin before it ends."""

    def __init__(self) -> None:
        self._over = Event()
        self._began = Event()
        self.apart: bool | None = None  # whether the second began when the first was over

    def first(self) -> None:
        self._began.wait(MOMENT)
        self._over.set()

    def second(self) -> None:
        self.apart = self._over.is_set()
        self._began.set()


def test_batches_of_different_tickets_run_at_the_same_time():
    meeting = Barrier(3)
    executor = BatchExecutor(2)

    executor.submit(ONE, lambda: meeting.wait(LONG))
    executor.submit(OTHER, lambda: meeting.wait(LONG))

    meeting.wait(LONG)  # raises if the two do not meet
    executor.drain()


def test_a_ticket_is_never_in_two_running_batches():
    """Its events come in order, and no transaction waits for another one's lock."""
    pair, executor = Pair(), BatchExecutor(2)

    executor.submit(ONE | OTHER, pair.first)
    executor.submit(OTHER | THIRD, pair.second)

    executor.drain()
    assert pair.apart


def test_a_batch_beyond_the_limit_waits():
    pair, executor = Pair(), BatchExecutor(1)

    executor.submit(ONE, pair.first)
    executor.submit(OTHER, pair.second)

    executor.drain()
    assert pair.apart


def test_draining_waits_for_all_batches():
    pair, executor = Pair(), BatchExecutor(2)

    executor.submit(ONE, pair.first)
    executor.drain()
    pair.second()

    assert pair.apart

"""Several chunks in hand at the same time, and what keeps them apart (worker.intake.executor)."""

from datetime import timedelta
from threading import Barrier, Event

from worker.intake.executor import BatchExecutor

MOMENT = timedelta(milliseconds=200).total_seconds()  # in which what may begin would have begun
LONG = timedelta(seconds=10).total_seconds()
ONE = frozenset({("acme", "1")})
OTHER = frozenset({("acme", "2")})
THIRD = frozenset({("acme", "3")})


class Pair:
    """Two chunks: the first one gives the second a moment to begin before it is over."""

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


def test_chunks_of_different_tickets_are_carried_at_the_same_time():
    meeting = Barrier(3)
    hands = BatchExecutor(2)

    hands.give(ONE, lambda: meeting.wait(LONG))
    hands.give(OTHER, lambda: meeting.wait(LONG))

    meeting.wait(LONG)  # raises if the two do not meet
    hands.rest()


def test_a_ticket_is_never_in_two_hands():
    """Its events come in order, and no transaction waits for another one's lock."""
    pair, hands = Pair(), BatchExecutor(2)

    hands.give(ONE | OTHER, pair.first)
    hands.give(OTHER | THIRD, pair.second)

    hands.rest()
    assert pair.apart


def test_what_finds_no_free_hand_waits_for_one():
    pair, hands = Pair(), BatchExecutor(1)

    hands.give(ONE, pair.first)
    hands.give(OTHER, pair.second)

    hands.rest()
    assert pair.apart


def test_resting_waits_for_all_that_is_in_hand():
    pair, hands = Pair(), BatchExecutor(2)

    hands.give(ONE, pair.first)
    hands.rest()
    pair.second()

    assert pair.apart

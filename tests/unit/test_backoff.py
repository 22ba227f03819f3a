"""The pauses between tries: they grow, the last one repeats, and a success starts them again."""

from datetime import timedelta

from models.platform.backoff import Backoff, doubling

SECOND = timedelta(seconds=1)


def test_pauses_double_up_to_the_longest():
    assert doubling(SECOND, 5 * SECOND) == (SECOND, 2 * SECOND, 4 * SECOND, 5 * SECOND)
    assert doubling(SECOND, SECOND) == (SECOND,)


def test_the_last_pause_repeats():
    backoff = Backoff([SECOND, 3 * SECOND])
    assert [backoff.next() for _ in range(4)] == [SECOND, *[3 * SECOND] * 3]
    assert backoff.failures == 4


def test_a_success_starts_them_again():
    backoff = Backoff()
    first = [backoff.next() for _ in range(9)]
    backoff.reset()
    assert [backoff.next() for _ in range(9)] == first
    assert (first[0], first[-1]) == (timedelta(seconds=0.1), timedelta(seconds=5))


def test_it_may_start_after_failures():
    assert Backoff([SECOND, 3 * SECOND], failures=1).next() == 3 * SECOND

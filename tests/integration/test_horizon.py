"""The horizon of rule 17, from a real stream: the newest moment noted before what is unapplied.

Sweeps have looked every minute so far, half a minute after each full one: `HALF`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.closed_port import closed_port
from tests.support.moments import note, noted
from worker.intake.stream import GROUP, STREAM
from worker.sweep.horizon import StreamSight

MINUTE = 60_000
HALF = MINUTE // 2


@pytest.fixture
def sight(redis: Redis) -> StreamSight:
    return StreamSight(redis)


@pytest.fixture
def now(redis: Redis) -> int:
    """Redis' time in milliseconds, after sweeps have looked every minute."""
    seconds, microseconds = redis.time()
    present: int = seconds * 1000 + microseconds // 1000
    note(redis, *(present - HALF - back * MINUTE for back in range(4)))
    return present


@pytest.fixture
def group(redis: Redis) -> str:
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    return "reader"


def add(redis: Redis, *moments: int) -> list[Any]:
    return [redis.xadd(STREAM, {"event": "x"}, id=f"{moment}-*") for moment in moments]


def hand_out(redis: Redis, reader: str, count: int) -> None:
    redis.xreadgroup(GROUP, reader, {STREAM: ">"}, count=count)


def moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def before(milliseconds: int) -> datetime:
    """The newest moment that was noted before *milliseconds*, a full minute."""
    return moment(milliseconds - HALF)


def is_now(sight: StreamSight, now: int) -> bool:
    horizon = sight.horizon()
    return horizon is not None and timedelta() <= horizon - moment(now) < timedelta(seconds=5)


def test_without_a_stream_nothing_is_unapplied(sight, now):
    assert is_now(sight, now)


def test_with_an_empty_stream_the_horizon_is_redis_present(sight, now, group):
    assert is_now(sight, now)


def test_an_entry_nobody_has_read_holds_the_horizon(sight, redis, now, group):
    add(redis, now - 2 * MINUTE, now - MINUTE)

    assert sight.horizon() == before(now - 2 * MINUTE)


def test_entries_hold_the_horizon_before_any_group_exists(sight, redis, now):
    """The first intake has yet to start, and everything on the stream is unapplied."""
    add(redis, now - MINUTE)

    assert sight.horizon() == before(now - MINUTE)


def test_an_entry_in_somebodys_hands_holds_the_horizon(sight, redis, now, group):
    """Unread only is not enough: H40, pending entries count."""
    add(redis, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)

    assert sight.horizon() == before(now - 2 * MINUTE)


def test_the_oldest_of_pending_and_unread_decides(sight, redis, now, group):
    first, *_ = add(redis, now - 3 * MINUTE, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)
    redis.xack(STREAM, GROUP, first)
    redis.xdel(STREAM, first)

    assert sight.horizon() == before(now - 2 * MINUTE)


def test_when_all_is_finished_the_horizon_is_redis_present(sight, redis, now, group):
    entries = add(redis, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)
    redis.xack(STREAM, GROUP, *entries)
    redis.xdel(STREAM, *entries)

    assert is_now(sight, now)


def test_an_entry_acknowledged_but_not_deleted_holds_nothing_up(sight, redis, now, group):
    """E10: it is first of the stream for ever, and in nobody's pending list."""
    entries = add(redis, now - MINUTE)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, *entries)

    assert is_now(sight, now)


def test_a_stream_trimmed_by_a_stranger_shows_what_is_left(sight, redis, now, group):
    add(redis, now - 3 * MINUTE, now - 2 * MINUTE, now - MINUTE)
    redis.xtrim(STREAM, maxlen=1, approximate=False)

    assert sight.horizon() == before(now - MINUTE)


def test_another_group_does_not_count(sight, redis, now, group):
    redis.xgroup_create(STREAM, "somebody-else", id="0")
    entries = add(redis, now - MINUTE)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, *entries)

    assert is_now(sight, now)


def test_without_a_moment_noted_before_it_an_entry_hides_the_horizon(sight, redis, now, group):
    add(redis, now - 9 * MINUTE)

    assert sight.horizon() is None


def test_an_entry_from_the_future_holds_the_horizon_where_it_was(sight, redis, now, group):
    """Its id does not tell when it really arrived, so no moment counts while it is there."""
    add(redis, now + MINUTE)

    assert sight.horizon() == moment(now - HALF)
    assert sight.horizon() == moment(now - HALF)


def test_a_moment_from_the_future_is_forgotten(sight, redis, now):
    """Redis' clock was set back: what was true by the old time says nothing about the new one."""
    note(redis, now + MINUTE)

    assert is_now(sight, now)


def test_moments_older_than_the_horizon_are_forgotten(sight, redis, now, group):
    add(redis, now - 2 * MINUTE)

    sight.horizon()

    assert min(noted(redis)) == now - 2 * MINUTE - HALF


def test_while_nothing_is_applied_the_moments_do_not_pile_up(sight, redis, now, group):
    """Three minutes behind, 180 ms more or less do not matter; after a day 90 s would not."""
    add(redis, now - 3 * MINUTE)
    looked_so_far = len(noted(redis))

    for _ in range(50):
        sight.horizon()

    assert len(noted(redis)) <= looked_so_far + 3


def test_without_redis_there_is_no_horizon():
    """Nothing closes and no window ends: late is harmless, early is not."""
    with Redis(port=closed_port(), retry=Retry(NoBackoff(), 0)) as away:
        assert StreamSight(away).horizon() is None


def test_a_key_of_another_kind_is_no_horizon(sight, redis):
    redis.set(STREAM, "not a stream")

    assert sight.horizon() is None

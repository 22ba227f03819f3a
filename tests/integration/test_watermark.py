"""The watermark of rule 17, from a real stream: the newest moment noted before what is unapplied.

Sweeps have looked every minute so far, half a minute after each full one: `HALF`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.events.stream_contract import GROUP, STREAM
from tests.support.closed_port import closed_port
from tests.support.noted_moments import note, noted
from worker.process.stream_keys import KEYS
from worker.sweep.watermark import StreamWatermark

MINUTE = 60_000
HALF = MINUTE // 2


@pytest.fixture
def now(redis: Redis) -> int:
    """Redis' time in milliseconds, after sweeps have polled every minute."""
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


def look(redis: Redis, *, now: datetime | None = None) -> datetime | None:
    """Poll as a sweep does. PostgreSQL's clock shows *now*, by default the same as Redis'."""
    return StreamWatermark(redis).watermark(now or present(redis))


def present(redis: Redis) -> datetime:
    seconds, microseconds = redis.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def before(milliseconds: int) -> datetime:
    """The newest moment that was noted before *milliseconds*, a full minute."""
    return moment(milliseconds - HALF)


def is_now(redis: Redis, now: int) -> bool:
    watermark = look(redis)
    return watermark is not None and timedelta() <= watermark - moment(now) < timedelta(seconds=5)


def test_without_a_stream_nothing_is_unapplied(redis, now):
    assert is_now(redis, now)


def test_with_an_empty_stream_the_watermark_is_redis_present(redis, now, group):
    assert is_now(redis, now)


def test_an_unread_entry_holds_the_watermark(redis, now, group):
    add(redis, now - 2 * MINUTE, now - MINUTE)

    assert look(redis) == before(now - 2 * MINUTE)


def test_entries_hold_the_watermark_before_any_group_exists(redis, now):
    """The first intake has yet to start, and everything on the stream is unapplied."""
    add(redis, now - MINUTE)

    assert look(redis) == before(now - MINUTE)


def test_a_pending_entry_holds_the_watermark(redis, now, group):
    """Unread only is not enough: H40, pending entries count."""
    add(redis, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)

    assert look(redis) == before(now - 2 * MINUTE)


def test_the_oldest_of_pending_and_unread_decides(redis, now, group):
    first, *_ = add(redis, now - 3 * MINUTE, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)
    redis.xack(STREAM, GROUP, first)
    redis.xdel(STREAM, first)

    assert look(redis) == before(now - 2 * MINUTE)


def test_when_all_is_acknowledged_the_watermark_is_redis_present(redis, now, group):
    entries = add(redis, now - 2 * MINUTE, now - MINUTE)
    hand_out(redis, group, 2)
    redis.xack(STREAM, GROUP, *entries)
    redis.xdel(STREAM, *entries)

    assert is_now(redis, now)


def test_an_entry_acknowledged_but_not_deleted_holds_nothing_up(redis, now, group):
    """E10: it stays first of the stream indefinitely, and is pending nowhere."""
    entries = add(redis, now - MINUTE)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, *entries)

    assert is_now(redis, now)


def test_a_stream_trimmed_by_another_client_shows_what_is_left(redis, now, group):
    add(redis, now - 3 * MINUTE, now - 2 * MINUTE, now - MINUTE)
    redis.xtrim(STREAM, maxlen=1, approximate=False)

    assert look(redis) == before(now - MINUTE)


def test_another_group_does_not_count(redis, now, group):
    redis.xgroup_create(STREAM, "another-group", id="0")
    entries = add(redis, now - MINUTE)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, *entries)

    assert is_now(redis, now)


def test_without_a_moment_noted_before_it_an_entry_hides_the_watermark(redis, now, group):
    add(redis, now - 9 * MINUTE)

    assert look(redis) is None


def test_an_entry_from_the_future_holds_the_watermark_where_it_was(redis, now, group):
    """Its id does not show when it came; that no earlier poll saw it does."""
    look(redis)
    seen = look(redis)
    add(redis, now + 60 * MINUTE)

    assert look(redis) == look(redis) == seen


def test_an_entry_behind_one_from_the_future_holds_the_watermark_too(redis, now, group):
    """Every id after it is from the future: what was finished before shows only by its id."""
    (first,) = add(redis, now + 60 * MINUTE)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, first)
    redis.xdel(STREAM, first)
    seen = look(redis)
    redis.xadd(STREAM, {"event": "x"})

    assert seen is not None
    assert look(redis) == look(redis) == seen


@pytest.mark.parametrize("far", ["1900000000000-0", "18446744073709551614-5"])
def test_when_an_entry_from_the_far_future_is_acknowledged_the_watermark_is_the_present(
    redis, now, group, far
):
    redis.xadd(STREAM, {"event": "x"}, id=far)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, far)
    redis.xdel(STREAM, far)

    assert is_now(redis, now)


def test_ids_that_differ_beyond_the_digits_of_a_double_are_distinguished(redis, now, group):
    first, second = "18446744073709551614-1", "18446744073709551614-2"
    redis.xadd(STREAM, {"event": "x"}, id=first)
    hand_out(redis, group, 1)
    redis.xack(STREAM, GROUP, first)
    seen = look(redis)
    redis.xadd(STREAM, {"event": "x"}, id=second)

    assert look(redis) == seen


def test_a_stream_that_begins_again_with_smaller_ids_has_its_watermark(redis, now, group):
    """What was noted of the greater ids counts no more; the next poll does."""
    redis.xadd(STREAM, {"event": "x"}, id="1900000000000-0")
    look(redis)
    redis.delete(STREAM)
    seen = look(redis)
    redis.xadd(STREAM, {"event": "x"})

    assert seen is not None
    assert look(redis) == seen


@pytest.mark.parametrize("behind", [-60 * MINUTE, -7_000, 7_000, 60 * MINUTE])
def test_the_watermark_is_a_time_of_postgresql_s_clock(redis, now, group, behind):
    """Amended rule 17: the due times it is compared with are PostgreSQL's."""
    by_database = timedelta(milliseconds=behind)
    first = present(redis) - by_database
    assert look(redis, now=first) == first
    add(redis, now)

    assert look(redis, now=present(redis) - by_database) == first


def test_moments_noted_without_the_database_s_time_are_forgotten(redis, now):
    redis.zadd(KEYS.former_moments, {f"{now}000": now * 1000})

    assert is_now(redis, now)
    assert not redis.exists(KEYS.former_moments)


def test_a_moment_from_the_future_is_forgotten(redis, now):
    """PostgreSQL's clock was set back: the old time proves nothing about the new one."""
    note(redis, now + MINUTE)

    assert is_now(redis, now)


def test_moments_older_than_the_watermark_are_forgotten(redis, now, group):
    add(redis, now - 2 * MINUTE)

    look(redis)

    assert min(noted(redis)) == now - 2 * MINUTE - HALF


def test_while_nothing_is_applied_the_moments_do_not_accumulate(redis, now, group):
    """Three minutes behind, 180 ms more or less do not matter; after a day 90 s would not."""
    add(redis, now - 3 * MINUTE)
    looked_so_far = len(noted(redis))

    for _ in range(50):
        look(redis)

    assert len(noted(redis)) <= looked_so_far + 3


def test_without_redis_there_is_no_watermark():
    """Nothing closes and no window ends: late is harmless, early is not."""
    with Redis(port=closed_port(), retry=Retry(NoBackoff(), 0)) as away:
        assert look(away, now=moment(0)) is None


def test_a_key_of_another_type_gives_no_watermark(redis):
    redis.set(STREAM, "not a stream")

    assert look(redis) is None


def test_a_moment_is_noted_when_a_thousandth_of_the_time_looked_back_on_has_passed(redis):
    """So the watermark is late by at most that much, and the list stays short."""
    seconds, _ = redis.time()
    present = seconds * 1000
    note(redis, present - 10_000_000, present - 20_000, last_id="0-0")

    look(redis)

    assert len(noted(redis)) == 1, "the newest; what lies before the watermark is forgotten"
    assert noted(redis)[0] >= present

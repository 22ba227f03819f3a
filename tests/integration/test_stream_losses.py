"""What vanishes from the stream unapplied is noticed: how much, and between which ids."""

from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from models.events.stream_contract import GROUP, STREAM
from models.monitoring.stats import collect_stats
from models.monitoring.stream_losses import SHOWN_FOR, Loss, LossCause, losses_since, notice_loss
from models.platform.clock import DatabaseClock
from worker.doctor.finding import Finding, State
from worker.doctor.stream_losses import check_stream_losses
from worker.intake.finished_count import FinishedCount
from worker.intake.stream import Stream, consumer_name
from worker.process.stream_keys import KEYS
from worker.sweep.stream_losses import notice_stream_loss

NOW = timedelta()


class World:
    """A stream with an intake and a sweep; the tests are the rest of the world."""

    def __init__(self, redis: Redis, engine: Engine) -> None:
        self.redis = redis
        self.engine = engine
        self.intake = self.another_intake()
        self.count = FinishedCount(redis)

    def another_intake(self) -> Stream:
        return Stream(self.redis, consumer=consumer_name())

    def publish(self, count: int) -> list[str]:
        ids: list[Any] = [self.redis.xadd(STREAM, {"event": "{}"}) for _ in range(count)]
        return [id_.decode() for id_ in ids]

    def apply(self, count: int) -> None:
        entries = self.intake.read(count=count, block=timedelta(milliseconds=1))
        assert len(entries) == count
        self.intake.acknowledge(entry.id for entry in entries)

    def sweep(self) -> Loss | None:
        return notice_stream_loss(self.count, self.engine.begin)

    def findings(self) -> list[Finding]:
        with self.engine.begin() as connection:
            now = DatabaseClock().now(connection)
            return [*check_stream_losses(losses_since(connection, now - SHOWN_FOR))]


@pytest.fixture
def world(redis: Redis, engine: Engine) -> World:
    """A world in which ten events were published, and four applied, before the first look."""
    made = World(redis, engine)
    made.publish(10)
    made.apply(4)
    assert made.sweep() is None
    return made


def test_events_that_are_applied_are_not_lost(world):
    world.publish(5)
    world.apply(7)
    assert world.sweep() is None
    world.apply(4)
    assert world.sweep() is None
    assert [finding.state for finding in world.findings()] == [State.OK]


def test_a_publisher_that_trims_is_noticed_once_with_how_many_and_between_which_ids(world, caplog):
    first = world.redis.xrange(STREAM, count=1)[0][0].decode()
    world.redis.xadd(STREAM, {"event": "{}"}, maxlen=3, approximate=False)
    left = world.redis.xrange(STREAM, count=1)[0][0].decode()

    loss = world.sweep()

    assert loss is not None
    assert (loss.cause, loss.entries) == (
        LossCause.REMOVED,
        4,
    )  # six and one, of which three are left
    assert (loss.first_id, loss.last_id) == (first, left)
    assert world.sweep() is None
    (line,) = [record for record in caplog.records if record.msg == "stream_entries_lost"]
    assert (line.levelname, line.entries) == ("ERROR", 4)
    (finding,) = world.findings()
    assert finding.state is State.WRONG
    assert f"4 entries were removed before they were applied: ids from {first} to {left}" in (
        finding.detail
    )
    with world.engine.begin() as connection:
        stats = collect_stats(connection, now=DatabaseClock().now(connection))
    assert stats.stream_entries_lost == 4


def test_an_entry_that_someone_deletes_is_noticed(world):
    ids = world.publish(3)
    assert world.sweep() is None

    world.redis.xdel(STREAM, ids[1])

    loss = world.sweep()
    assert loss is not None
    assert (loss.cause, loss.entries) == (LossCause.REMOVED, 1)
    world.apply(8)
    assert world.sweep() is None


def test_entries_trimmed_while_they_are_being_applied_are_not_lost(world):
    entries = world.intake.read(count=6, block=NOW)
    world.redis.xtrim(STREAM, maxlen=0, approximate=False)

    world.intake.acknowledge(entry.id for entry in entries)

    assert world.sweep() is None


def test_an_entry_that_two_intakes_finish_counts_once(world):
    entries = world.intake.read(count=6, block=NOW)
    world.intake.acknowledge(entry.id for entry in entries)
    world.another_intake().acknowledge(entry.id for entry in entries)
    world.redis.xdel(STREAM, world.publish(1)[0])

    loss = world.sweep()

    assert loss is not None
    assert loss.entries == 1


def test_what_is_finished_after_the_group_was_created_again_is_not_lost(world):
    entries = world.intake.read(count=6, block=NOW)
    world.redis.xgroup_destroy(STREAM, GROUP)
    world.redis.xgroup_create(STREAM, GROUP, id="0")

    world.intake.acknowledge(entry.id for entry in entries)

    assert world.sweep() is None


@pytest.mark.parametrize("published_again", [0, 3, 40])
def test_a_flushed_redis_is_noticed_with_what_had_waited(world, published_again):
    waiting = [id_.decode() for id_, _ in world.redis.xrange(STREAM)]
    world.redis.flushall()
    world.publish(published_again)

    loss = world.sweep()

    assert loss is not None
    assert (loss.cause, loss.entries) == (LossCause.REPLACED, 6)
    assert (loss.first_id, loss.last_id) == (waiting[0], waiting[-1])
    if published_again:
        world.apply(published_again)
    assert world.sweep() is None


def test_a_stream_that_is_deleted_is_noticed_although_the_count_stays(world):
    world.redis.delete(STREAM)
    world.publish(2)

    loss = world.sweep()

    assert loss is not None
    assert (loss.cause, loss.entries) == (LossCause.REPLACED, 6)


def test_a_stream_that_is_reset_while_it_is_empty_is_doubtful_and_pages_nobody(world):
    """As deploy/RUNBOOK.md has it for ids from the future."""
    world.apply(6)
    assert world.sweep() is None
    world.redis.delete(STREAM)

    loss = world.sweep()

    assert loss is not None
    assert loss.entries == 0
    assert [finding.state for finding in world.findings()] == [State.DOUBTFUL]


def test_a_redis_that_went_back_is_noticed(world):
    """A restart or a failover without the last writes: the same count, and fewer were added."""
    stream, counter = world.redis.dump(STREAM), world.redis.dump(KEYS.finished)
    ids = world.publish(5)
    assert world.sweep() is None
    world.redis.restore(STREAM, 0, stream, replace=True)
    world.redis.restore(KEYS.finished, 0, counter, replace=True)

    loss = world.sweep()

    assert loss is not None
    assert (loss.cause, loss.entries, loss.last_id) == (LossCause.WENT_BACK, 5, ids[-1])


def test_while_an_intake_of_an_earlier_version_reads_nothing_is_told(world):
    """It finishes without counting, so nobody knows what vanished; later on all is counted."""
    earlier = Stream(world.redis, consumer="intake-7-0a1b2c3d")
    entries = earlier.read(count=6, block=NOW)
    world.redis.xack(STREAM, GROUP, *(entry.id for entry in entries))
    world.redis.xdel(STREAM, *(entry.id for entry in entries))
    assert world.sweep() is None
    earlier.remove_consumer()
    assert world.sweep() is None

    world.redis.xdel(STREAM, world.publish(1)[0])

    loss = world.sweep()
    assert loss is not None
    assert loss.entries == 1


def test_a_count_that_comes_late_changes_nothing(world, engine):
    earlier = world.count.read()
    world.publish(2)
    assert world.sweep() is None
    with engine.begin() as connection:
        assert notice_loss(connection, earlier) is None
    world.apply(8)
    assert world.sweep() is None


def test_a_key_of_another_type_is_left_alone(world):
    world.redis.delete(STREAM)
    world.redis.set(STREAM, "x")

    assert world.sweep() is None


def test_where_the_count_cannot_be_kept_entries_are_finished_all_the_same(world):
    world.redis.set(KEYS.finished, "x")

    world.apply(6)

    assert world.redis.xlen(STREAM) == 0
    assert world.sweep() is None

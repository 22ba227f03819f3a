"""An entry whose id claims the future lifts every later id: times of receipt stay true (rule 3).

Far ahead a publisher chose the id; an hour ahead Redis' clock may also have been set back.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from models.events.decode import read
from models.events.event import Entry
from models.events.stream_contract import GROUP, STREAM
from models.intake.apply import apply_entries, decode_entries
from models.operators.interventions import Person
from models.platform.timestamps import from_microseconds
from models.triage.raw_input import retry_raw
from tests.support.harness import CLOSE_DELAY, OPERATOR, PARKING_WINDOW, Harness
from tests.support.intake_at_work import applying, running
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from tests.support.records import Records
from tests.support.sources import ROOT
from tests.support.wait import eventually
from worker.doctor.finding import State
from worker.doctor.redis_server import check_stream
from worker.intake.stream import Stream
from worker.metrics.redis_stats import collect_stream_stats
from worker.sweep.round import Sweep
from worker.sweep.watermark import StreamWatermark

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)
MONTH = timedelta(days=30)
BLOCK = timedelta(milliseconds=20)
RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")


@pytest.fixture
def stream(redis_url: str) -> Iterator[Stream]:
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield Stream(client, consumer="under-test")


@pytest.fixture(params=["an hour ahead", "1900000000000-0", "18446744073709551000-0"])
def future(request: pytest.FixtureRequest, redis: Redis) -> str:
    """The id of an entry from outside that cannot be read."""
    ahead = int((present(redis) + HOUR).timestamp() * 1000)
    id_: str = f"{ahead}-0" if request.param == "an hour ahead" else request.param
    redis.xadd(STREAM, {"event": "{"}, id=id_)
    return id_


def present(redis: Redis) -> datetime:
    seconds, microseconds = redis.time()
    return from_microseconds(seconds * 1_000_000 + microseconds)


def add(redis: Redis, action: str, *, at: datetime | None = None, **top: object) -> str:
    event: dict[str, Any] = {"action": action, "data": {"operator": OPERATOR, "ticket_id": "T"}}
    if at is not None:
        event["occurred_at"] = at.isoformat()
    id_: Any = redis.xadd(STREAM, {"event": json.dumps(event | top)})
    return str(id_.decode())


def received(entry: Entry) -> datetime:
    return read(entry).received_at


@pytest.mark.usefixtures("future")
def test_an_entry_was_received_when_it_was_read_at_the_latest(stream, redis):
    added = add(redis, "ticket_win")
    before = present(redis)

    entries = stream.read(count=10, block=BLOCK)

    assert entries[1].id == added
    assert all(before <= received(entry) <= present(redis) for entry in entries)


COUNTED = ["5-0", "0-1", "1764460800-0"]  # a counter; seconds of Unix time


@pytest.mark.parametrize("id_", COUNTED)
def test_an_id_from_before_there_were_streams_tells_no_time(stream, redis, id_):
    """Redis takes any id above the last, and any at all once the key was deleted."""
    redis.xadd(STREAM, {"event": "{"}, id=id_)
    before = present(redis)

    (entry,) = stream.read(count=10, block=BLOCK)

    assert before <= received(entry) <= present(redis)


@pytest.mark.parametrize("id_", COUNTED)
def test_a_rollback_with_such_an_id_is_not_older_than_its_result(harness, records, id_):
    harness.say("ticket_win", at=harness.now)
    harness.deliver()
    harness.wait(HOUR)

    rollback = harness.event("ticket_rollback", at=harness.now - MOMENT)
    harness.publish(Entry(id_, rollback.fields))

    assert records.standing() == "open/pending"
    assert harness.deliver() == [("T", "ticket_rollback")]


@pytest.mark.parametrize("id_", COUNTED)
def test_what_waits_under_such_an_id_has_its_whole_window(harness, records, id_):
    harness.say("ticket_open")
    rollback = harness.event("ticket_rollback", at=harness.now + MOMENT)
    harness.publish(Entry(id_, rollback.fields))
    harness.wait(PARKING_WINDOW - MOMENT)
    harness.end_windows()

    harness.say("ticket_win", at=harness.now - PARKING_WINDOW)

    assert records.standing() == "open/pending"


def test_an_id_of_the_present_is_the_time_of_receipt(stream, redis):
    added = add(redis, "ticket_win")
    eventually(lambda: present(redis) > from_microseconds(int(added.split("-")[0]) * 1000) + MOMENT)

    (entry,) = stream.read(count=10, block=BLOCK)

    assert received(entry) == from_microseconds(int(added.split("-")[0]) * 1000)


@pytest.mark.usefixtures("future")
def test_so_was_one_that_was_taken_over_from_a_dead_consumer(stream, redis):
    """And it was received when that one read it: before what others have read meanwhile."""
    add(redis, "ticket_win")
    Stream(redis, consumer="dead").read(count=10, block=BLOCK)
    died_at = present(redis)
    eventually(lambda: present(redis) > died_at + 5 * MOMENT)
    add(redis, "ticket_rollback")
    (rollback,) = stream.read(count=10, block=BLOCK)

    _, win, *_ = stream.reclaim(min_idle=timedelta(), count=10)

    assert received(win) <= died_at < received(rollback)


@pytest.mark.usefixtures("future")
def test_one_that_was_handed_back_was_received_when_it_was_read_again(stream, redis):
    """Handing back marks it as idle for a day, which it was not."""
    other = Stream(redis, consumer="without a database")
    other.release(other.read(count=10, block=BLOCK))
    before = present(redis)

    (entry,) = stream.reclaim(min_idle=5 * MOMENT, count=10)

    assert before <= received(entry) <= present(redis)


@pytest.mark.usefixtures("future")
def test_an_entry_that_a_sweep_saw_was_received_by_then(stream, redis):
    """However late it is read, and by whichever consumer."""
    add(redis, "ticket_win")
    StreamWatermark(redis).watermark(present(redis))
    seen = present(redis)
    add(redis, "ticket_rollback")
    eventually(lambda: present(redis) > seen + MOMENT)

    *old, new = stream.read(count=10, block=BLOCK)

    assert all(received(entry) <= seen for entry in old), "two, and a microsecond for the second"
    assert received(old[0]) < received(old[1])
    assert received(new) > seen


@pytest.mark.usefixtures("future", "harness")
def test_true_times_are_not_too_old_and_their_order_counts(redis, redis_url, engine, records):
    now = present(redis)
    add(redis, "ticket_win", at=now - timedelta(seconds=2))
    add(redis, "ticket_rollback", at=now - timedelta(seconds=1))

    with running(redis_url, applying(engine), event_age_max=MONTH):
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert records.outcomes() == [("ticket_win", "applied"), ("ticket_rollback", "applied")]
    assert records.standing() == "open/pending"


@pytest.mark.usefixtures("future", "harness")
def test_a_result_without_a_time_does_not_outlive_the_true_rollback_after_it(
    redis, redis_url, engine, records
):
    with running(redis_url, applying(engine), event_age_max=MONTH):
        add(redis, "ticket_win")
        eventually(lambda: redis.xlen(STREAM) == 0)
        add(redis, "ticket_rollback", at=present(redis))
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert records.standing() == "open/pending"


@pytest.mark.usefixtures("future", "harness")
def test_nor_while_the_intake_is_down_and_the_sweep_is_not(redis, redis_url, engine, records):
    add(redis, "ticket_win")
    StreamWatermark(redis).watermark(present(redis))
    add(redis, "ticket_rollback", at=present(redis))

    with running(redis_url, applying(engine), event_age_max=MONTH):
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert records.standing() == "open/pending"


@pytest.mark.usefixtures("future", "harness")
def test_what_is_redelivered_after_its_commit_stays_a_duplicate(stream, redis, engine, records):
    """It is read at a later time, and is the same event all the same."""
    add(redis, "ticket_win")
    add(redis, "ticket_rollback")
    dead = Stream(redis, consumer="dead").read(count=10, block=BLOCK)
    applying(engine)(decode_entries(dead))
    events = records.events()
    eventually(lambda: present(redis) > (dead[0].read_at or present(redis)) + MOMENT)

    again = stream.reclaim(min_idle=timedelta(), count=10)
    outcomes = applying(engine)(decode_entries(again, event_age_max=MONTH)).outcomes

    assert outcomes["ticket_win", "duplicate"] == outcomes["ticket_rollback", "duplicate"] == 1
    assert records.events() == events


def test_raw_input_that_was_kept_with_a_receipt_in_the_future_is_retried_with_a_true_one(
    harness: Harness, records: Records
):
    """The id alone was taken for the receipt once."""
    fields = harness.event("ticket_win", operator="later").fields
    apply_entries(
        harness.engine.begin,
        [Entry("1900000000000-0", fields)],
        clock=harness.clock,
        parking_window=PARKING_WINDOW,
    )
    refused_at = harness.now
    harness.add_operator("later")
    harness.wait(HOUR)

    with harness.engine.begin() as connection:
        retry_raw(
            connection,
            "1900000000000-0",
            age_max=MONTH,
            now=harness.now,
            window=PARKING_WINDOW,
            person=Person("tester", "its operator is there"),
        )

    (event,) = records.events(operator="later")
    assert (event.outcome, event.order_time) == ("applied", refused_at)


@pytest.mark.parametrize("apart", [-HOUR, -MOMENT, MOMENT, HOUR])
def test_a_window_is_as_long_whatever_redis_clock_says(harness, records, apart):
    """From the receipt (rule 8), and by the clock that ends it."""
    ten_minutes = timedelta(minutes=10)
    by_redis = harness.now + apart
    added = int((by_redis - ten_minutes).timestamp() * 1000)
    fields = harness.event("ticket_rollback", event_id="back").fields

    harness.publish(Entry(f"{added}-0", fields, read_at=by_redis))

    assert records.event("back").park_until == harness.now - ten_minutes + PARKING_WINDOW


@pytest.mark.usefixtures("future")
def test_a_rollback_that_was_there_before_its_ticket_fell_due_is_honoured(
    harness: Harness,
    engine: Engine,
    redis: Redis,
    stream: Stream,
    clock: ManualClock,
    records: Records,
):
    """Rule 17: its id says 2030 or an hour from now, and yet it came in time."""
    sweep = Sweep(
        transaction=engine.begin,
        clock=clock,
        watermark_source=StreamWatermark(redis),
        settings=plain_settings(),
    )
    harness.say("ticket_win", at=harness.now)
    harness.deliver()
    stream.acknowledge([entry.id for entry in stream.read(count=10, block=BLOCK)])
    harness.wait(CLOSE_DELAY - MOMENT)
    sweep.round()
    add(redis, "ticket_rollback", at=harness.now)
    harness.wait(HOUR)

    assert sweep.round().closed == 0

    entries = stream.read(count=10, block=BLOCK)
    harness.publish(*entries)
    stream.acknowledge([entry.id for entry in entries])
    assert sweep.round().closed == 0
    assert records.standing() == "open/pending"


@pytest.mark.usefixtures("future")
def test_an_entry_that_came_after_the_due_time_holds_nothing_back(
    harness: Harness, engine: Engine, redis: Redis, stream: Stream, clock: ManualClock
):
    sweep = Sweep(
        transaction=engine.begin,
        clock=clock,
        watermark_source=StreamWatermark(redis),
        settings=plain_settings(),
    )
    harness.say("ticket_win", at=harness.now)
    harness.deliver()
    stream.acknowledge([entry.id for entry in stream.read(count=10, block=BLOCK)])
    harness.wait(CLOSE_DELAY + HOUR)
    StreamWatermark(redis).watermark(harness.now)
    add(redis, "ticket_rollback", at=harness.now)
    harness.wait(HOUR)

    assert sweep.round().closed == 1


def test_the_doctor_and_the_stats_tell_how_far_ahead_ids_are(redis, stream, future):
    stream.acknowledge([entry.id for entry in stream.read(count=10, block=BLOCK)])

    (finding,) = [finding for finding in check_stream(redis) if finding.state is not State.OK]

    assert finding.state is State.WRONG
    assert "ahead of Redis' clock" in finding.detail
    assert collect_stream_stats(redis).ids_ahead > HOUR / 2


def test_ids_of_the_present_are_not_ahead(redis, stream):
    add(redis, "ticket_win")
    stream.acknowledge([entry.id for entry in stream.read(count=10, block=BLOCK)])

    assert [finding.state for finding in check_stream(redis)] == [State.OK]
    assert collect_stream_stats(redis).ids_ahead == timedelta()


@pytest.mark.usefixtures("future")
def test_the_stats_tell_how_old_such_an_entry_is(redis):
    """Else no person would be paged while the intake stands still."""
    StreamWatermark(redis).watermark(present(redis))
    seen = present(redis)
    eventually(lambda: present(redis) > seen + 50 * MOMENT)

    survey = collect_stream_stats(redis)

    assert survey.oldest_at is not None
    assert survey.oldest_at <= seen


def test_what_the_runbook_says_has_the_stream_begin_again_and_loses_nothing(
    redis, redis_url, engine, records, harness, future
):
    """With the intake at work and blocked in its read, as it is in production."""
    section = RUNBOOK.split("### SlipwayStreamIdsAhead")[1].split("###")[0]
    command = re.search(r'redis-cli EVAL "(.+?)" 1 ticket-events', section, re.DOTALL)
    assert command is not None
    script = command[1]

    def repair() -> Any:  # noqa: ANN401 - whatever Redis answers
        return redis.eval(script, 1, STREAM)

    add(redis, "ticket_win", at=present(redis))
    assert repair().startswith(b"not empty")
    with running(redis_url, applying(engine)) as calls:
        eventually(lambda: repair() == b"reset")
        turns = calls.turns
        eventually(lambda: calls.turns > turns + 1)
        added = add(redis, "ticket_rollback")
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert from_microseconds(int(added.split("-")[0]) * 1000) <= present(redis)
    assert records.standing() == "open/pending"
    assert collect_stream_stats(redis).ids_ahead == timedelta()
    assert redis.xpending(STREAM, GROUP)["pending"] == 0

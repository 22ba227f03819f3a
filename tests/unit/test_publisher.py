"""What the publisher promises before and without a server's help."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from fakeredis import FakeRedis, FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.events.format import DATA_NAMES
from models.events.stream_contract import EVENT_BYTES_MAX
from producers.publisher import CallTooLarge, EventUnsendable, Publisher, RedisUnavailable, event

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WIN = {"operator": "operator-code", "ticket_id": "1330556611374148608"}


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def stream(server):
    with FakeRedis(server=server) as client:
        yield client


def publisher(client: Redis) -> Publisher:
    return Publisher(client, now=lambda: NOON)


def published_events(client) -> list[dict[str, object]]:
    entries = client.xrange("ticket-events")
    assert all(list(fields) == [b"event"] for _, fields in entries)
    return [json.loads(fields[b"event"]) for _, fields in entries]


def test_an_event_becomes_one_entry_with_the_one_field_event(stream):
    win = event("ticket_win", WIN, occurred_at=NOON, event_id="e-1", sequence=3)

    entry_id = publisher(stream).publish(win)

    assert stream.xrange("ticket-events") == [
        (
            entry_id.encode(),
            {
                b"event": b'{"event_id":"e-1","occurred_at":"2026-11-20T12:00:00.000000Z",'
                b'"action":"ticket_win","data":{"operator":"operator-code",'
                b'"ticket_id":"1330556611374148608"},"sequence":3}'
            },
        )
    ]


def test_missing_id_and_time_are_fixed_by_the_publisher(stream):
    publisher(stream).publish({"action": "ticket_win", "data": WIN})

    [sent] = published_events(stream)
    assert UUID(str(sent["event_id"])).version == 4
    assert sent["occurred_at"] == "2026-11-20T12:00:00.000000Z"


def test_what_could_not_be_published_keeps_its_id_and_time_for_the_next_try(server):
    """H10: a repeat with a new id would be another event."""
    server.connected = False
    with FakeRedis(server=server, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(RedisUnavailable) as unavailable:
            publisher(client).publish({"action": "ticket_win", "data": WIN})
        server.connected = True

        Publisher(client).publish_many(unavailable.value.unpublished)

        assert published_events(client) == list(unavailable.value.unpublished)
        assert published_events(client)[0]["occurred_at"] == "2026-11-20T12:00:00.000000Z"


def test_a_repeat_by_the_caller_is_the_same_bytes(stream):
    win = event("ticket_win", WIN, occurred_at=NOON)

    publisher(stream).publish_many([win, win])

    first, second = (fields for _, fields in stream.xrange("ticket-events"))
    assert first == second


def test_many_events_keep_their_order_over_several_round_trips(stream):
    events = [
        event("ticket_win", WIN | {"ticket_id": str(n)}, occurred_at=NOON) for n in range(1201)
    ]

    entry_ids = publisher(stream).publish_many(events)

    assert published_events(stream) == events
    assert entry_ids == [entry_id.decode() for entry_id, _ in stream.xrange("ticket-events")]


def test_large_events_are_spread_over_round_trips(stream):
    events = [
        event("ticket_open", WIN | {"note": "x" * 250_000}, occurred_at=NOON) for _ in range(40)
    ]

    assert len(publisher(stream).publish_many(events)) == 40


def test_nothing_to_publish_is_nothing_done(stream):
    assert publisher(stream).publish_many([]) == []


def test_a_client_that_decodes_gives_the_same_entry_ids(server, stream):
    with FakeRedis(server=server, decode_responses=True) as client:
        entry_id = publisher(client).publish({"action": "ticket_win", "data": WIN})

    assert [entry_id.encode()] == [name for name, _ in stream.xrange("ticket-events")]


def test_an_event_may_be_exactly_as_large_as_the_limit(stream):
    win = event("ticket_win", WIN | {"note": ""}, occurred_at=NOON)
    room = EVENT_BYTES_MAX - len(json.dumps(win, separators=(",", ":")))

    publisher(stream).publish({**win, "data": {**WIN, "note": "x" * room}})
    with pytest.raises(EventUnsendable, match="262,145 bytes"):
        publisher(stream).publish({**win, "data": {**WIN, "note": "x" * (room + 1)}})


def nested(depth: int) -> object:
    inner: object = 0
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("unsendable", "words"),
    [
        ({"data": WIN}, "`action` must be a string"),
        ({"action": "", "data": WIN}, "`action` must be a string"),
        ({"action": 7, "data": WIN}, "`action` must be a string"),
        ({"action": "ticket_win"}, "`data` must be an object"),
        ({"action": "ticket_win", "data": [WIN]}, "`data` must be an object"),
        ({"action": "ticket_win", "data": {"at": NOON}}, "datetime"),
        ({"action": "ticket_win", "data": {"wht": float("nan")}}, "JSON"),
        ({"action": "ticket_win", "data": {"reason": "\ud800"}}, "UTF-8"),
        ({"action": "ticket_win", "data": {"deep": nested(100_000)}}, "JSON"),
    ],
)
def test_an_unsendable_event_is_named_and_nothing_of_its_call_is_sent(stream, unsendable, words):
    good = event("ticket_win", WIN, occurred_at=NOON)

    with pytest.raises(EventUnsendable, match=words) as refusal:
        publisher(stream).publish_many([good, unsendable, good])

    assert refusal.value.position == 1
    assert published_events(stream) == []


def test_a_call_holds_at_most_ten_thousand_events(stream):
    with pytest.raises(CallTooLarge, match="10,001 events"):
        publisher(stream).publish_many([{"action": "ticket_win", "data": WIN}] * 10_001)

    assert published_events(stream) == []


def test_a_call_holds_at_most_64_mib(stream):
    large = event("ticket_open", WIN | {"note": "x" * 250_000}, occurred_at=NOON)

    with pytest.raises(CallTooLarge, match="67,108,864 bytes"):
        publisher(stream).publish_many([large] * 300)

    assert published_events(stream) == []


def test_a_time_without_a_timezone_is_refused():
    with pytest.raises(ValueError, match="has no timezone"):
        event("ticket_win", WIN, occurred_at=NOON.replace(tzinfo=None))


def test_times_are_written_in_utc():
    there = NOON.astimezone(timezone(timedelta(hours=3)))

    assert event("ticket_win", WIN, occurred_at=there)["occurred_at"] == (
        "2026-11-20T12:00:00.000000Z"
    )


@pytest.mark.parametrize("waitaof_ms", [0, -1, 5000, 60_000])
def test_waiting_for_the_disk_must_end_before_the_client_gives_up(waitaof_ms):
    with pytest.raises(ValueError, match="socket_timeout of 5 s"):
        Publisher(Redis(socket_timeout=5), waitaof_ms=waitaof_ms)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


# What is nearly called like a field is refused, which `test_near_names.py` tests.
# Hypothesis draws words from our own code, too, so it does come upon such names.
NAMES = st.text(st.characters(codec="utf-8")).filter(
    lambda name: not DATA_NAMES.near_misses({name: None})
)


@settings(max_examples=50, deadline=None)
@given(data=st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_json_holds_arrives_as_it_was_published(data):
    with FakeRedis(server=FakeServer()) as client:
        win = event("ticket_win", data, occurred_at=NOON)

        publisher(client).publish(win)

        assert published_events(client) == [win]

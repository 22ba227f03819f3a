"""The faults of the stream, and that undoing them loses nothing: else no count would be right."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import ResponseError

from models.platform.timestamps import entry_id_time
from tests.faults.stream_faults import STREAM, stream_from_the_future, stream_of_another_type

GROUP = "slipway"
AHEAD = timedelta(hours=1)
SLACK = timedelta(minutes=1)


@pytest.fixture
def stream(redis):
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    return redis


def read(redis) -> list[bytes]:
    [(_, entries)] = redis.xreadgroup(GROUP, "reader", {STREAM: ">"}, count=10) or [(b"", [])]
    return [entry_id for entry_id, _ in entries]


def added_at(redis) -> datetime:
    return entry_id_time(redis.xadd(STREAM, {"event": b"{}"}).decode())


def now(redis) -> datetime:
    return datetime.fromtimestamp(redis.time()[0], UTC)


def test_a_stream_of_another_type_comes_back_with_its_entries_and_its_group(servers, stream):
    entry = stream.xadd(STREAM, {"event": b"{}"})
    read(stream)

    with stream_of_another_type(servers), pytest.raises(ResponseError, match="WRONGTYPE"):
        stream.xadd(STREAM, {"event": b"{}"})

    [pending] = stream.xpending_range(STREAM, GROUP, "-", "+", 10)
    assert pending["message_id"] == entry
    assert stream.keys() == [STREAM.encode()]


def test_ids_are_from_the_future_until_the_stream_is_made_again(servers, stream):
    with stream_from_the_future(servers, ahead=AHEAD, quiet=nullcontext):
        assert added_at(stream) - now(stream) > AHEAD - SLACK
        stream.xdel(STREAM, *read(stream))

    assert abs(added_at(stream) - now(stream)) < SLACK
    assert len(read(stream)) == 1

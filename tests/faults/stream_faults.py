"""What a stranger can do to the stream itself; each act is undone as an operator would undo it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from tests.support.wait import eventually
from worker.local.servers import Servers

STREAM: Final = "ticket-events"
ASIDE: Final = "ticket-events:aside"
EMPTY_WITHIN: Final = timedelta(seconds=90)
# Only a stream without entries is made again: its events would be lost with it.
MADE_AGAIN: Final = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XGROUP', 'CREATE', KEYS[1], 'slipway', '0', 'MKSTREAM')
return 1"""


@contextmanager
def stream_from_the_future(
    servers: Servers, *, ahead: timedelta, quiet: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Add an entry whose id is *ahead* of Redis' clock: all later ids are at least as far ahead.

    It holds nothing that can be read. On exit the stream is made again as soon as it is empty, so
    its ids follow the clock again. *quiet*: a block without publishing, else a stream under load
    may never be empty.
    """
    with _admin(servers) as redis:
        seconds, _ = redis.time()
        ahead_ms = int((seconds + ahead.total_seconds()) * 1000)
        redis.xadd(STREAM, {"event": b"[]"}, id=f"{ahead_ms}-0")
        try:
            yield
        finally:
            with quiet():
                eventually(lambda: _made_again(redis), within=EMPTY_WITHIN)


@contextmanager
def stream_of_another_type(servers: Servers) -> Iterator[None]:
    """The key holds a string: adding and reading are refused (WRONGTYPE).

    The stream and its group are kept under another name, or what is on it would be lost by the
    trial itself; they come back in one step with the string's end.
    """
    with _admin(servers) as redis:
        with redis.pipeline(transaction=True) as change:
            change.rename(STREAM, ASIDE)
            change.set(STREAM, "x")
            change.execute()
        try:
            yield
        finally:
            with redis.pipeline(transaction=True) as change:
                change.delete(STREAM)
                change.rename(ASIDE, STREAM)
                change.execute()


def _made_again(redis: Redis) -> bool:
    try:
        return bool(redis.eval(MADE_AGAIN, 1, STREAM))
    except ResponseError:
        raise
    except RedisError:
        return False


@contextmanager
def _admin(servers: Servers) -> Iterator[Redis]:
    with Redis.from_url(servers.redis_url, socket_timeout=5) as redis:
        yield redis

"""Examines a Redis or Valkey: reached, new enough, keeps everything, and lets us do our work."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from models.events.stream_contract import EVENT_FIELD, GROUP, STREAM
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong

RIGHTS: Final = "Redis rights"
_FULL: Final = 0.8
_OTHER: Final = "doctor"  # a name that no consumer has
# What the processes do, asked inside a transaction that is discarded: Redis judges the right to a
# command when it is queued, and none of them is ever carried out.
STREAM_COMMANDS: Final[Sequence[Sequence[str]]] = (
    ("XADD", STREAM, "*", EVENT_FIELD.decode(), "{}"),
    ("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"),
    ("XREADGROUP", "GROUP", GROUP, _OTHER, "COUNT", "1", "STREAMS", STREAM, ">"),
    ("XPENDING", STREAM, GROUP),
    ("XCLAIM", STREAM, GROUP, _OTHER, "0", "0-1"),
    ("XACK", STREAM, GROUP, "0-1"),
    ("XDEL", STREAM, "0-1"),
    ("XLEN", STREAM),
    ("XRANGE", STREAM, "-", "+", "COUNT", "1"),
    ("XINFO", "GROUPS", STREAM),
    ("EVAL", "return 1", "1", STREAM),
    ("TIME",),
    ("INFO",),
)
BROKER_COMMANDS: Final[Sequence[Sequence[str]]] = (
    ("LPUSH", "deliver", ""),
    ("BRPOP", "deliver", "1"),
    ("LLEN", "deliver"),
    ("ZADD", "unacked_index", "0", _OTHER),
    ("HSET", "unacked", _OTHER, ""),
    ("SADD", "_kombu.binding.deliver", ""),
    ("PUBLISH", "/0.celery.pidbox", ""),
)


def unreachable(part: str, variable: str, error: RedisError) -> Finding:
    """Say why Redis could not be asked; *variable* holds its address."""
    told = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, AuthenticationError) or told.startswith(("NOAUTH", "WRONGPASS")):
        mend = f"put the right user and password into {variable}: redis://user:password@host:6379/0"
    elif isinstance(error, NoPermissionError):
        mend = f"give the user in {variable} the rights of a worker (deploy/), or name another one"
    else:
        mend = (
            f"start Redis, let this machine through to it, or mend host and port in {variable};"
            " with no server at hand: slipway up --embedded"
        )
    return wrong(part, f"cannot be asked: {told}", mend=mend)


def examine_redis(redis: Redis, *, part: str) -> Iterator[Finding]:
    """Look at the server itself. Raises redis.RedisError when it cannot be asked."""
    facts: Mapping[str, Any] = redis.info()
    yield _version(facts, part)
    if facts.get("cluster_enabled"):
        yield wrong(
            part,
            "it is a Redis Cluster, which Celery cannot use",
            mend="take a single server, or one whose address follows the primary",
        )
    if facts.get("role", "master") != "master":
        yield wrong(
            part,
            "it is a replica: nothing can be written there",
            mend="let the URL lead to the primary, or to an address that follows it",
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield wrong(
            part,
            f"maxmemory-policy is {policy}: when memory is full it throws events away",
            mend="CONFIG SET maxmemory-policy noeviction, and the same in its configuration",
        )
    if not facts.get("aof_enabled"):
        yield wrong(
            part,
            "the append-only file is off: a restart loses events that were accepted",
            mend="CONFIG SET appendonly yes, and `appendonly yes` with `appendfsync everysec` in"
            " its configuration",
        )
    elif facts.get("aof_last_write_status", "ok") != "ok":
        yield wrong(
            part,
            "the append-only file could not be written",
            mend="make room on its disk; what is accepted meanwhile is in memory alone",
        )
    limit = facts.get("maxmemory", 0)
    if limit and facts["used_memory"] > _FULL * limit:
        yield doubtful(
            part,
            f"its memory is {facts['used_memory'] / limit:.0%} full; then publishers are refused",
            mend="raise maxmemory, or find out why events wait (see: stream)",
        )


def examine_rights(
    redis: Redis, commands: Sequence[Sequence[str]], *, variable: str
) -> Iterator[Finding]:
    """Say which of *commands* the user may not use; nothing is carried out."""
    refused = _refused(redis, commands)
    if refused:
        yield wrong(
            RIGHTS,
            f"the user in {variable} may not use {', '.join(refused)}",
            mend="give it the rights of a worker (the ACL rules in deploy/): ACL SETUSER NAME"
            f" {' '.join(f'+{name.lower()}' for name in refused)}, and the keys they are about",
        )
    else:
        yield ok(RIGHTS, f"the user in {variable} may do what the processes do")


def _version(facts: Mapping[str, Any], part: str) -> Finding:
    if "valkey_version" in facts:
        name, version, least = "Valkey", str(facts["valkey_version"]), (8, 0)
    else:
        name, version, least = "Redis", str(facts["redis_version"]), (7, 0)
    number = tuple(int(word) for word in version.split(".")[:2])
    if number < least:
        mend = "move to Redis 7.0 or later, or Valkey 8 or later"
        return wrong(part, f"{name} {version}", mend=mend)
    return ok(part, f"{name} {version}")


def _refused(redis: Redis, commands: Sequence[Sequence[str]]) -> list[str]:
    connection: Any = redis.connection_pool.get_connection()
    refused = []
    try:
        connection.send_command("MULTI")
        connection.read_response()
        for command in commands:
            connection.send_command(*command)
            try:
                connection.read_response()
            except NoPermissionError:
                refused.append(command[0])
            except ResponseError:  # a full server refuses to queue; the right is there
                continue
        connection.send_command("DISCARD")
        connection.read_response()
    except RedisError:
        connection.disconnect()
        raise
    finally:
        redis.connection_pool.release(connection)
    return refused

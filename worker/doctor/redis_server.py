"""Checks Redis or Valkey: the server, our keys, and the stream."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.sentinel import MasterNotFoundError

from models.events.stream_contract import GROUP
from models.settings.redis_tls import tls_failure
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.doctor.publishing import PUBLISHING
from worker.metrics.redis_stats import collect_stream_stats
from worker.process.cluster_client import UnusableRedis
from worker.process.queues import DEAD_LETTERS, DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE, WAKEUPS
from worker.process.redis_errors import redis_problem
from worker.process.stream_keys import KEYS as DEFAULT_KEYS
from worker.process.stream_keys import StreamKeys

_FULL: Final = 0.8


def unreachable(part: str, variable: str, error: RedisError, url: str) -> Finding:
    """Report why Redis could not be reached; *variable* holds its address, *url*."""
    if isinstance(error, UnusableRedis):
        return wrong(part, "cannot be used", remedy=str(error))
    problem = redis_problem(error, url)
    if isinstance(error, MasterNotFoundError):
        remedy = "see the sentinels above: they need a majority and a replica to fail over to"
    elif tls_failure(error) is not None:
        remedy = (
            f"correct the URL in {variable} or the files that it names, or give the server a"
            " certificate for its host"
        )
    elif isinstance(error, AuthenticationError) or "user and password of" in problem:
        remedy = (
            f"put the right user and password into {variable}: redis://user:password@host:6379/0"
        )
    elif isinstance(error, NoPermissionError):
        remedy = f"give the user in {variable} the rights of a worker (deploy/), or use another one"
    elif "max number of clients" in problem:
        remedy = "CONFIG SET maxclients, or end the connections that nobody needs (CLIENT LIST)"
    elif "DB index" in problem:
        remedy = f"correct the number at the end of {variable}, or raise `databases` on the server"
    elif "protected mode" in problem:
        remedy = f"give the server a password (ACL SETUSER, requirepass) and put it into {variable}"
    else:
        remedy = (
            f"start Redis, open the firewall for this machine, or fix host and port in {variable};"
            " without a server of your own: slipway up --embedded"
        )
    return wrong(part, f"cannot be reached: {problem}", remedy=remedy)


def check_redis(redis: Redis, *, part: str, kept_by_provider: bool = False) -> Iterator[Finding]:
    """Check the server itself. Raises redis.RedisError if it cannot be reached.

    *kept_by_provider*: it is durable by means that it does not show (SLIPWAY_REDIS_DURABILITY).
    """
    facts: Mapping[str, Any] = redis.info()
    yield _version(facts, part)
    if facts.get("role", "master") != "master":
        primary = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        yield wrong(
            part,
            f"it is a replica of {primary}: nothing can be written to it",
            remedy="point the URL to the primary, or to an address that follows it",
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield wrong(
            part,
            f"maxmemory-policy is {policy}: when memory is full it deletes events",
            remedy="CONFIG SET maxmemory-policy noeviction, and the same in its configuration",
        )
    yield from _durability(facts, part, kept_by_provider=kept_by_provider)
    limit = facts.get("maxmemory", 0)
    if limit and facts["used_memory"] > _FULL * limit:
        yield doubtful(
            part,
            f"its memory is {facts['used_memory'] / limit:.0%} full; a full one refuses publishers",
            remedy="raise maxmemory, or find out why events wait (see *stream*)",
        )


def _durability(
    facts: Mapping[str, Any], part: str, *, kept_by_provider: bool
) -> Iterator[Finding]:
    if kept_by_provider:
        yield ok(
            part, "kept durable by its provider, as SLIPWAY_REDIS_DURABILITY says: not checked"
        )
    elif not facts.get("aof_enabled"):
        yield wrong(
            part,
            "the append-only file is off: a restart loses events that were accepted",
            remedy="CONFIG SET appendonly yes, and `appendonly yes` with `appendfsync everysec` in"
            " its configuration; a managed Redis that is durable by other means:"
            " SLIPWAY_REDIS_DURABILITY=provider",
        )
    elif facts.get("aof_last_write_status", "ok") != "ok":
        yield wrong(
            part,
            "the append-only file could not be written",
            remedy="free space on its disk; what is accepted meanwhile is only in memory",
        )


def _version(facts: Mapping[str, Any], part: str) -> Finding:
    if "valkey_version" in facts:
        name, version, least = "Valkey", str(facts["valkey_version"]), (8, 0)
    else:
        name, version, least = "Redis", str(facts["redis_version"]), (7, 0)
    number = tuple(int(word) for word in version.split(".")[:2])
    if number < least:
        remedy = "upgrade to Redis 7.0 or later, or Valkey 8 or later"
        return wrong(part, f"{name} {version}", remedy=remedy)
    return ok(part, f"{name} {version}")


KEYS: Final = "keys"
BROKER_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys((DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE, WAKEUPS, DEAD_LETTERS), "list"),
    "unacked": "hash",
    "unacked_index": "zset",
}
_LAST_MS: Final = 2**64 - 1  # of an id; from there on Redis counts up the second part alone


def stream_types(keys: StreamKeys) -> Mapping[str, str]:
    """Return the type of each of *keys*, for `check_keys`."""
    return {
        keys.stream: "stream",
        keys.moments: "zset",
        keys.finished: "hash",
        **dict.fromkeys(keys.queue, "list"),
    }


def check_keys(redis: Redis, keys: Mapping[str, str]) -> Iterator[Finding]:
    """Check that each of *keys* has its type. Raises redis.RedisError if Redis does not answer."""
    with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.type(key)
        types = [kind.decode() for kind in pipeline.execute()]
    mismatches = [
        f"{_shown(key)} is a {kind}, not a {keys[key]}"
        for key, kind in zip(keys, types, strict=True)
        if kind not in ("none", keys[key])
    ]
    if mismatches:
        yield wrong(
            KEYS,
            f"another client writes Slipway's keys: {'; '.join(mismatches)}",
            remedy="find that client (ACL LOG, CLIENT LIST; rights: deploy/redis/users.acl), move"
            " each key out of the way (RENAME KEY KEY:found): Slipway creates it again",
        )
    else:
        yield ok(KEYS, "every key has its type")


def check_stream_life(redis: Redis, keys: StreamKeys = DEFAULT_KEYS) -> Iterator[Finding]:
    """Check whether the stream runs out of ids, or expires. Raises redis.RedisError."""
    seconds: Any = redis.ttl(keys.stream)
    if seconds >= 0:
        yield wrong(
            PUBLISHING,
            f"the key {keys.stream} expires in {seconds:,} s, and with it every event that is not"
            " applied",
            remedy=f"PERSIST {keys.stream}, and find the client that uses EXPIRE (ACL LOG, CLIENT"
            " LIST)",
        )
    try:
        facts: Any = redis.xinfo_stream(keys.stream)
    except ResponseError:  # no stream yet, or no stream at all
        return
    ms, _, number = facts["last-generated-id"].decode().partition("-")
    left = _LAST_MS - int(number)
    if int(ms) == _LAST_MS and left:
        yield doubtful(
            PUBLISHING,
            f"{left:,} ids are left: a client added an entry with one of the last possible ids",
            remedy="deploy/RUNBOOK.md, SlipwayStreamIdsAhead, says how the stream begins again",
        )


def _shown(key: str) -> str:
    return key.replace("\x06\x16", "\\x06\\x16")


STREAM_PART: Final = "stream"
_LATE: Final = timedelta(seconds=60)
_AHEAD: Final = timedelta(seconds=2)  # a smaller difference is an ordinary correction of the clock


def check_stream(redis: Redis, keys: StreamKeys = DEFAULT_KEYS) -> Iterator[Finding]:
    """Check the stream and its group. Raises redis.RedisError if Redis cannot be reached."""
    stream = keys.stream
    try:
        groups: Any = redis.xinfo_groups(stream)
    except ResponseError:  # there is no such key, or it is not a stream
        groups = []
        kind: Any = redis.type(stream)
        if kind not in (b"none", b"stream"):
            yield wrong(
                STREAM_PART,
                f"the key {stream} is a {kind.decode()}, not a stream",
                remedy=f"find out which client writes it; then RENAME {stream} to something else",
            )
            return
    if GROUP.encode() not in {group["name"] for group in groups}:
        yield wrong(
            STREAM_PART,
            f"{stream} has no consumer group {GROUP}: no intake has ever read it",
            remedy="start an intake, which creates it: `intake` of the Procfile, or `slipway up`",
        )
        return
    stats = collect_stream_stats(redis, keys)
    waiting = timedelta() if stats.oldest_at is None else stats.at - stats.oldest_at
    if waiting > _LATE:
        yield doubtful(
            STREAM_PART,
            f"{stats.entries} entries are not applied, the oldest for {_seconds(waiting)}",
            remedy="read the intake's log: it waits for the database, or more intakes are needed",
        )
    else:
        yield ok(STREAM_PART, f"{stats.entries} entries are not applied yet")
    if stats.ids_ahead > _AHEAD:
        yield wrong(
            STREAM_PART,
            f"its last id is {_seconds(stats.ids_ahead)} ahead of Redis' clock: an entry was added"
            " with an id from the future, or the clock was set back",
            remedy="find the client that chooses ids (always add with *), then reset the stream's"
            " last id: deploy/RUNBOOK.md, SlipwayStreamIdsAhead",
        )


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():,.0f} s"

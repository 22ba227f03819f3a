"""Checks what our user may do on Redis or Valkey, and whether the server knows our commands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from models.events.stream_contract import EVENT_FIELD, GROUP
from worker.doctor.finding import Finding, ok, wrong
from worker.process.stream_keys import StreamKeys

RIGHTS: Final = "Redis rights"
_OTHER: Final = "doctor"  # a name that no consumer has


def stream_commands(keys: StreamKeys) -> Sequence[Sequence[str]]:
    """Return what the processes do with the stream, for `check_rights`."""
    stream = keys.stream
    return (
        ("XADD", stream, "*", EVENT_FIELD.decode(), "{}"),
        ("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM"),
        ("XREADGROUP", "GROUP", GROUP, _OTHER, "COUNT", "1", "STREAMS", stream, ">"),
        ("XPENDING", stream, GROUP),
        ("XCLAIM", stream, GROUP, _OTHER, "0", "0-1"),
        ("XACK", stream, GROUP, "0-1"),
        ("XDEL", stream, "0-1"),
        ("XLEN", stream),
        ("XRANGE", stream, "-", "+", "COUNT", "1"),
        ("XINFO", "GROUPS", stream),
        ("EVAL", "return 1", "1", stream),
        ("HINCRBY", keys.finished, "finished", "0"),
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


def check_rights(
    redis: Redis, commands: Sequence[Sequence[str]], *, variable: str
) -> Iterator[Finding]:
    """Report which of *commands* the user may not use, or not on our keys; none is executed.

    They are queued in a transaction that is discarded: Redis checks the right when it queues one.
    """
    refusals = _refusals(redis, commands)
    if refusals.commands:
        yield wrong(
            RIGHTS,
            f"the user in {variable} may not use {', '.join(refusals.commands)}",
            remedy="give it the rights of a worker (the ACL rules in deploy/): ACL SETUSER NAME"
            f" {' '.join(f'+{name.lower()}' for name in refusals.commands)}, and the keys they use",
        )
    if refusals.keys:
        yield wrong(
            RIGHTS,
            f"the user in {variable} may not access {', '.join(refusals.keys)}",
            remedy="Celery makes keys and channels of its own, so give it all: ACL SETUSER NAME ~*"
            " &* (deploy/redis/users.acl)",
        )
    if refusals.unknown:
        yield wrong(
            RIGHTS,
            f"the server behind {variable} does not know {', '.join(refusals.unknown)}: it is too"
            " old, a proxy that lacks it, or renames it",
            remedy="take rename-command for it out of the server's configuration; ACL rules"
            " (deploy/redis/users.acl) say who may use what",
        )
    if not (refusals.commands or refusals.keys or refusals.unknown):
        yield ok(RIGHTS, f"the user in {variable} may use every command that the processes need")


@dataclass(slots=True)
class _Refusals:
    """What was not queued, and why."""

    commands: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # or channels
    unknown: list[str] = field(default_factory=list)

    def note(self, command: Sequence[str], error: ResponseError) -> None:
        """Take in an answer. A full server refuses to queue what the user has the right to."""
        text = str(error)
        if isinstance(error, NoPermissionError):
            if "access a key" in text or "access a channel" in text or "access one of" in text:
                self.keys += [each for each in [_key_of(command)] if each not in self.keys]
            else:
                self.commands.append(command[0])
        elif "unknown command" in text:
            self.unknown.append(command[0])


def _key_of(command: Sequence[str]) -> str:
    """Return the key, or channel, in one of the commands above."""
    match command:
        case ("XGROUP" | "XINFO", _, key, *_):
            return key
        case ("XREADGROUP", *_, key, _):
            return key
        case ("EVAL", _, _, key):
            return key
        case _:
            return command[1]


def _refusals(redis: Redis, commands: Sequence[Sequence[str]]) -> _Refusals:
    connection: Any = redis.connection_pool.get_connection()
    refusals = _Refusals()
    try:
        connection.send_command("MULTI")
        connection.read_response()
        for command in commands:
            connection.send_command(*command)
            try:
                connection.read_response()
            except ResponseError as error:
                refusals.note(command, error)
        connection.send_command("DISCARD")
        connection.read_response()
    except RedisError:
        connection.disconnect()
        raise
    finally:
        redis.connection_pool.release(connection)
    return refusals

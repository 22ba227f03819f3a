"""Adds entries to the stream; every publisher, the gateway and `slipway doctor` use it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis
from redis.exceptions import (
    ExecAbortError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from models.events.probe_entry import OLDER, probe_command
from models.events.stream_contract import STREAM
from models.settings.redis_cluster import cluster_refused
from producers.publisher.cluster import UnsuitableRedis
from producers.publisher.redis_errors import (
    DiskConfirmationUnsupported,
    DiskNotConfirmed,
    EntryIdMissing,
)

Entry = Mapping[bytes, bytes]
_Command = Sequence[str | bytes | int]
_ENTRY_ID: Final = re.compile(r"[0-9]+-[0-9]+")
_NO_WAITAOF: Final = ("unknown command", "appendonly is disabled")


class StreamAppender:
    """Adds entries with one client; may be shared between threads."""

    def __init__(
        self, redis: Redis, *, stream: str = STREAM, waitaof_ms: int | None = None
    ) -> None:
        """Use *redis*. With *waitaof_ms* an entry counts as added once it is on disk."""
        self._redis = redis
        self._stream = stream
        self._waitaof_ms = waitaof_ms
        self._disk_was_checked = waitaof_ms is None

    def add(self, entries: Sequence[Entry]) -> list[str]:
        """Add *entries* to the stream in their order, in one round trip; return their ids.

        Raises redis.RedisError unless Redis returns an id for each. After `DiskNotConfirmed` all
        are on the stream. After a lost response, `EntryIdMissing`, or if the stream ran out of ids
        or the user may not use MULTI, some may be. After any other error none is.
        """
        if not entries:
            return []
        with self._leaving_a_replica():
            return self._add(entries)

    def _add(self, entries: Sequence[Entry]) -> list[str]:
        if not self._disk_was_checked:
            self.require_disk()
        # Several entries are one transaction. A plain pipeline to a nearly full server would lose
        # the order: the server rejects one entry, frees its bytes, and accepts the next.
        several = len(entries) > 1
        commands = [self._xadd(entry) for entry in entries]
        if several:
            commands = [("MULTI",), *commands, ("EXEC",)]
        if self._waitaof_ms is None:
            return _ids(self._exchange(commands, several=several), len(entries), several=several)
        # WAITAOF covers the writes of its own connection, so it belongs to this exchange.
        commands.append(("WAITAOF", 1, 0, self._waitaof_ms))
        *replies, disk = self._exchange(commands, several=several)
        ids = _ids(replies, len(entries), several=several)
        self._require_confirmed(disk)
        return ids

    def require_writable(self) -> None:
        """Raise the redis.RedisError with which Redis would reject entries now; add none."""
        with self._leaving_a_replica():
            try:
                self._redis.execute_command(*probe_command(self._stream))  # type: ignore[no-untyped-call]  # redis-py's
            except ResponseError as error:
                if OLDER not in str(error):
                    raise
            self.require_disk()

    def require_disk(self) -> None:
        """Raise DiskConfirmationUnsupported if WAITAOF is required but not supported."""
        if self._waitaof_ms is None:
            return
        try:
            self._redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]  # redis-py's
        except NoPermissionError as error:
            raise DiskConfirmationUnsupported(str(error)) from error
        except ResponseError as error:
            if any(text in str(error) for text in _NO_WAITAOF):
                raise DiskConfirmationUnsupported(_shortened(error)) from error
            if "replica" in str(error):  # as XADD would have answered
                raise ReadOnlyError(str(error), status_code="READONLY") from error
            raise
        self._disk_was_checked = True

    @contextmanager
    def _leaving_a_replica(self) -> Iterator[None]:
        """Close pooled connections on READONLY: they lead to what was the primary.

        Raises UnsuitableRedis if a cluster answers a client of one server.
        """
        try:
            yield
        except ReadOnlyError:
            self._redis.connection_pool.disconnect(inuse_connections=False)
            raise
        except MovedError as error:
            place = self._redis.connection_pool.connection_kwargs
            raise UnsuitableRedis(
                cluster_refused((str(place.get("host")), int(place.get("port", 0))))
            ) from error

    def _xadd(self, entry: Entry) -> _Command:
        return ("XADD", self._stream, "*", *(part for field in entry.items() for part in field))

    def _exchange(self, commands: Sequence[_Command], *, several: bool) -> list[object]:
        """Send *commands* at once and return all replies, including errors."""
        pool: Any = self._redis.connection_pool
        connection = pool.get_connection()

        def exchange() -> list[object]:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in commands]

        try:
            replies: list[object] = connection.retry.call_with_retry(
                exchange, lambda _: connection.disconnect()
            )
            # An EXEC that neither ran nor was aborted may leave the connection in a transaction.
            if several and not isinstance(_exec(commands, replies), list | ExecAbortError):
                connection.disconnect()
        except BaseException:  # late replies would be taken for those of the next exchange
            connection.disconnect()
            raise
        finally:
            pool.release(connection)
        return replies

    def _require_confirmed(self, disk: object) -> None:
        if isinstance(disk, Exception):
            raise DiskNotConfirmed(f"WAITAOF: {disk}")
        if not (isinstance(disk, list) and disk and isinstance(disk[0], int) and disk[0] >= 1):
            raise DiskNotConfirmed(f"WAITAOF: not within {self._waitaof_ms} ms")


def _reply(connection: Any) -> object:  # noqa: ANN401 - redis-py's connections have no common type
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _exec(commands: Sequence[_Command], replies: Sequence[object]) -> object:
    return replies[commands.index(("EXEC",))]


def _ids(replies: Sequence[object], count: int, *, several: bool) -> list[str]:
    """Return an id for each of *count* entries; nothing else counts as added."""
    # EXECABORT repeats the error of one entry; that entry's own error says more.
    errors = [reply for reply in replies if isinstance(reply, RedisError)]
    for error in sorted(errors, key=lambda error: isinstance(error, ExecAbortError)):
        raise error
    added = replies[-1] if several else replies
    if not isinstance(added, list):
        raise EntryIdMissing(f"EXEC answered {'nil' if added is None else type(added).__name__}")
    for reply in added:
        if isinstance(reply, RedisError):
            raise reply
    texts = [
        reply.decode("ascii", "replace") if isinstance(reply, bytes) else str(reply)
        for reply in added
    ]
    ids = [text for text in texts if _ENTRY_ID.fullmatch(text)]
    if not len(ids) == len(texts) == count:
        raise EntryIdMissing(
            f"{count} entries were sent, {len(ids)} of {len(texts)} replies are ids"
        )
    return ids


def _shortened(error: Exception) -> str:
    """Cut off the arguments, which Redis repeats after an unknown command."""
    return str(error).partition(", with args")[0]

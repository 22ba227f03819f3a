"""The one way to put entries on the stream, and the check whether Redis would take them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import (
    ExecAbortError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from models.events.probe_entry import OLDER, probe_command
from models.events.stream_contract import STREAM
from producers.publisher.redis_errors import CannotConfirmDisk, NotAnId, OnlyInMemory

Entry = Mapping[bytes, bytes]
_Command = Sequence[str | bytes | int]
_ENTRY_ID: Final = re.compile(r"[0-9]+-[0-9]+")
_NO_WAITAOF: Final = ("unknown command", "appendonly is disabled")


class StreamAppender:
    """Adds entries with one client; may be shared between threads."""

    def __init__(
        self, redis: Redis, *, stream: str = STREAM, waitaof_ms: int | None = None
    ) -> None:
        """Use *redis*. With *waitaof_ms* an entry counts as added when it is on the disk."""
        self._redis = redis
        self._stream = stream
        self._waitaof_ms = waitaof_ms
        self._disk_was_checked = waitaof_ms is None

    def add(self, entries: Sequence[Entry]) -> list[str]:
        """Put *entries* on the stream in their order, in one round trip; return their ids.

        Raises redis.RedisError unless Redis answers with an id for each. `OnlyInMemory`: all are on
        the stream. A lost answer, `NotAnId`, a stream that ran out of ids, a user without the right
        to MULTI: some may be. Any other: none is.
        """
        if not entries:
            return []
        if not self._disk_was_checked:
            self.require_disk()
        # Several go as a transaction. A plain pipeline to a server that is nearly full loses the
        # order: it refuses one, frees that one's bytes, and takes the next.
        several = len(entries) > 1
        commands = [self._xadd(entry) for entry in entries]
        if several:
            commands = [("MULTI",), *commands, ("EXEC",)]
        if self._waitaof_ms is None:
            return _ids(self._exchange(commands, several=several), len(entries), several=several)
        # It is about the writes of its connection, so it belongs to this exchange.
        commands.append(("WAITAOF", 1, 0, self._waitaof_ms))
        *replies, disk = self._exchange(commands, several=several)
        ids = _ids(replies, len(entries), several=several)
        self._require_confirmed(disk)
        return ids

    def require_takes(self) -> None:
        """Raise the redis.RedisError with which Redis would refuse entries now; adds none."""
        try:
            self._redis.execute_command(*probe_command(self._stream))  # type: ignore[no-untyped-call]  # redis-py's
        except ResponseError as refusal:
            if OLDER not in str(refusal):
                raise
        self.require_disk()

    def require_disk(self) -> None:
        """Raise CannotConfirmDisk where WAITAOF is wanted and this Redis cannot do it."""
        if self._waitaof_ms is None:
            return
        try:
            self._redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]  # redis-py's
        except NoPermissionError as refusal:
            raise CannotConfirmDisk(str(refusal)) from refusal
        except ResponseError as refusal:
            if any(words in str(refusal) for words in _NO_WAITAOF):
                raise CannotConfirmDisk(_shortened(refusal)) from refusal
            if "replica" in str(refusal):  # as XADD would have said
                raise ReadOnlyError(str(refusal), status_code="READONLY") from refusal
            raise
        self._disk_was_checked = True

    def _xadd(self, entry: Entry) -> _Command:
        return ("XADD", self._stream, "*", *(part for field in entry.items() for part in field))

    def _exchange(self, commands: Sequence[_Command], *, several: bool) -> list[object]:
        """Send *commands* at once, and return each reply, errors included."""
        pool: Any = self._redis.connection_pool
        connection = pool.get_connection()

        def once() -> list[object]:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in commands]

        try:
            replies: list[object] = connection.retry.call_with_retry(
                once, lambda _: connection.disconnect()
            )
            # An EXEC that neither ran nor was aborted may leave the connection in a transaction.
            if several and not isinstance(_exec(commands, replies), list | ExecAbortError):
                connection.disconnect()
        except BaseException:  # replies may be on their way, and would be taken for later ones
            connection.disconnect()
            raise
        finally:
            pool.release(connection)
        return replies

    def _require_confirmed(self, disk: object) -> None:
        if isinstance(disk, Exception):
            raise OnlyInMemory(f"WAITAOF: {disk}")
        if not (isinstance(disk, list) and disk and isinstance(disk[0], int) and disk[0] >= 1):
            raise OnlyInMemory(f"WAITAOF: not within {self._waitaof_ms} ms")


def _reply(connection: Any) -> object:  # noqa: ANN401 - redis-py's connections have no common type
    try:
        return connection.read_response()
    except ResponseError as refusal:
        return refusal


def _exec(commands: Sequence[_Command], replies: Sequence[object]) -> object:
    return replies[commands.index(("EXEC",))]


def _ids(replies: Sequence[object], count: int, *, several: bool) -> list[str]:
    """Give an id for each of *count* entries; nothing else counts as added."""
    # EXECABORT repeats what was wrong with one entry; that entry's own refusal says it better.
    refusals = [reply for reply in replies if isinstance(reply, RedisError)]
    for refusal in sorted(refusals, key=lambda one: isinstance(one, ExecAbortError)):
        raise refusal
    added = replies[-1] if several else replies
    if not isinstance(added, list):
        raise NotAnId(f"EXEC answered {'nil' if added is None else type(added).__name__}")
    for one in added:
        if isinstance(one, RedisError):
            raise one
    words = [
        one.decode("ascii", "replace") if isinstance(one, bytes) else str(one) for one in added
    ]
    ids = [word for word in words if _ENTRY_ID.fullmatch(word)]
    if not len(ids) == len(words) == count:
        raise NotAnId(f"{count} entries were sent, {len(ids)} of {len(words)} replies are ids")
    return ids


def _shortened(refusal: Exception) -> str:
    """An unknown command is answered with all that was sent."""
    return str(refusal).partition(", with args")[0]

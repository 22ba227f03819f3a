"""Keeps the response to an act under the client's key, in the transaction of the act.

    with engine.begin() as connection:
        kept = kept_response(connection, request, now=now)
        if kept is None:
            ...  # the act
            keep_response(connection, request, status=200, body=body, now=now)

An act that fails leaves nothing behind, so its key is free again. The lock on a key is of the
transaction, so that the death of a process frees it as well.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.platform.errors import ConflictError, InvalidError

KEPT_FOR: Final = timedelta(hours=24)
KEY_CHARACTERS_MAX: Final = 64
BODY_CHARACTERS_MAX: Final = 64 * 1024
REMOVED_AT_ONCE: Final = 20  # more than one act adds

# Two statements: the second one must see what the former holder of the lock committed.
_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")
_FIND: Final = text("""
    SELECT request_hash, status, body FROM kept_response
     WHERE caller = :caller AND key = :key AND at > :since
""")
_KEEP: Final = text("""
    INSERT INTO kept_response (caller, key, request_hash, status, body, at)
    VALUES (:caller, :key, :request_hash, :status, :body, :now)
    ON CONFLICT (caller, key) DO UPDATE
       SET request_hash = excluded.request_hash, status = excluded.status, body = excluded.body,
           at = excluded.at
""")
_REMOVE_OLD: Final = text("""
    WITH old AS MATERIALIZED (
        SELECT caller, key FROM kept_response WHERE at <= :since ORDER BY at LIMIT :limit
           FOR UPDATE SKIP LOCKED),
    removed AS (
        DELETE FROM kept_response k USING old
         WHERE k.caller = old.caller AND k.key = old.key RETURNING k.key)
    SELECT count(*) FROM removed
""")


class IdempotencyKeyInvalid(InvalidError):
    """The key cannot be used."""

    def __init__(self) -> None:
        """Say what a key is."""
        super().__init__(
            f"the Idempotency-Key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters"
        )


class IdempotencyKeyReused(ConflictError):
    """Another request came with this key before (422)."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "another request was made with this Idempotency-Key; send a new key with a new request"
        )


class RequestInProgress(ConflictError):
    """The request with this key is being carried out at this moment (409)."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "the request with this Idempotency-Key is still in progress; ask again in a moment"
        )


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request to do something once, named by its caller (`token 7`) and the caller's key."""

    caller: str
    key: str
    request_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What the first request with the key was answered."""

    status: int
    body: str


def keyed_request(*, caller: str, key: str, content: bytes) -> KeyedRequest:
    """Return the request with *key*; *content* is all that makes it this one: method, path, body.

    Raises IdempotencyKeyInvalid.
    """
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid
    return KeyedRequest(caller, key, hashlib.sha256(content).hexdigest())


def kept_response(
    connection: Connection, request: KeyedRequest, *, now: datetime
) -> StoredResponse | None:
    """Return what this request was answered before; None: it is new, and this transaction's alone.

    Raises IdempotencyKeyReused, RequestInProgress.
    """
    if not connection.execute(_LOCK, {"lock": _lock_number(request)}).scalar_one():
        raise RequestInProgress
    parameters = {"caller": request.caller, "key": request.key, "since": now - KEPT_FOR}
    row = connection.execute(_FIND, parameters).one_or_none()
    if row is None:
        return None
    if row.request_hash != request.request_hash:
        raise IdempotencyKeyReused
    return StoredResponse(row.status, row.body)


def keep_response(
    connection: Connection, request: KeyedRequest, *, status: int, body: str, now: datetime
) -> None:
    """Keep the response for 24 hours, and remove some of those that are older."""
    assert len(body) <= BODY_CHARACTERS_MAX, "an act's response is short"
    connection.execute(
        _KEEP,
        {
            "caller": request.caller,
            "key": request.key,
            "request_hash": request.request_hash,
            "status": status,
            "body": body,
            "now": now,
        },
    )
    remove_old_responses(connection, now=now)


def remove_old_responses(
    connection: Connection, *, now: datetime, limit: int = REMOVED_AT_ONCE
) -> int:
    """Remove up to *limit* responses that were kept for their time, and return how many."""
    parameters = {"since": now - KEPT_FOR, "limit": limit}
    removed: int = connection.execute(_REMOVE_OLD, parameters).scalar_one()
    return removed


def _lock_number(request: KeyedRequest) -> int:
    """Return the number of the advisory lock: equal keys of a caller share it, hardly any other."""
    named = f"idempotency\n{request.caller}\n{request.key}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big", signed=True)

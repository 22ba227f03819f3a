"""Limits how often signing in may fail, with one name and from one address.

Each try is counted before the password is verified, in a transaction of its own, so that tries at
the same moment cannot exceed the limit together; a success takes its count back. A window begins
with the first failure and ends by itself: tries during a block do not prolong it. The counts are in
PostgreSQL, shared by all processes.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from sqlalchemy import Connection, text

from models.users.names import name_key

WINDOW: Final = timedelta(minutes=15)
FAILURES_MAX: Final = 10  # with one name
FAILURES_FROM_ADDRESS_MAX: Final = 100  # an office may share one address
REMOVED_AT_ONCE: Final = 20  # more than one try adds
_HOST_BITS: Final = 64  # of IPv6

_COUNT: Final = text("""
    INSERT INTO sign_in_failure AS known (key, failures, ends_at) VALUES (:key, 1, :ends_at)
    ON CONFLICT (key) DO UPDATE
       SET failures = CASE WHEN known.ends_at <= :now THEN 1
                           ELSE least(known.failures, :most) + 1 END,
           ends_at = CASE WHEN known.ends_at <= :now THEN :ends_at ELSE known.ends_at END
    RETURNING failures > :most AS blocked, ends_at
""")
_TAKE_BACK: Final = text("""
    UPDATE sign_in_failure SET failures = greatest(failures - 1, 0) WHERE key = :key
""")
_FORGET: Final = text("DELETE FROM sign_in_failure WHERE key = :key")
_REMOVE_OLD: Final = text("""
    WITH old AS MATERIALIZED (
        SELECT key FROM sign_in_failure WHERE ends_at <= :now ORDER BY ends_at LIMIT :limit
           FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM sign_in_failure f USING old WHERE f.key = old.key RETURNING f.key)
    SELECT count(*) FROM removed
""")


@dataclass(frozen=True, slots=True)
class Block:
    """No password is verified for the name, or from the address, until the window ends."""

    until: datetime


def count_try(connection: Connection, *, name: str, remote: str, now: datetime) -> Block | None:
    """Count a try as a failure until it succeeds; return the block if it must not be made.

    The address comes first: one that is blocked cannot block names as well.
    """
    limits = ((_address_key(remote), FAILURES_FROM_ADDRESS_MAX), (_name_key(name), FAILURES_MAX))
    block = None
    for key, most in limits:
        parameters = {"key": key, "most": most, "now": now, "ends_at": now + WINDOW}
        row = connection.execute(_COUNT, parameters).one()
        if row.blocked:
            block = Block(row.ends_at)
            break
    remove_old_failures(connection, now=now)
    return block


def take_back(connection: Connection, *, name: str, remote: str) -> None:
    """Note that a counted try has succeeded: the name starts again, the address has one less."""
    connection.execute(_TAKE_BACK, {"key": _address_key(remote)})
    connection.execute(_FORGET, {"key": _name_key(name)})


def forget_failures(connection: Connection, *, name: str) -> None:
    """Lift the block of a name, because a person has dealt with the account."""
    connection.execute(_FORGET, {"key": _name_key(name)})


def remove_old_failures(
    connection: Connection, *, now: datetime, limit: int = REMOVED_AT_ONCE
) -> int:
    """Remove up to *limit* counts whose window is over, and return how many."""
    parameters = {"now": now, "limit": limit}
    removed: int = connection.execute(_REMOVE_OLD, parameters).scalar_one()
    return removed


def _name_key(name: str) -> str:
    # A hash: some people type their password where the name belongs.
    return _hashed(f"name {name_key(name[:1000])}")


def _address_key(remote: str) -> str:
    """Return what stands for an address; of IPv6 the network that one customer gets."""
    try:
        address = ip_address(remote)
    except ValueError:  # a path of a socket, or nothing
        return _hashed(f"address {remote[:1000]}")
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 6 and mapped is None:  # noqa: PLR2004 - the version's name is its number
        return _hashed(f"network {int(address) >> _HOST_BITS}")
    return _hashed(f"address {mapped or address}")


def _hashed(value: str) -> str:
    return hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()

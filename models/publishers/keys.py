"""Publishers' keys for the gateway: adds, lists and revokes them, and finds one by its hash."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text

from models.operators.interventions import Change, Person, record_intervention
from models.platform.encryption import hash_key, new_api_key
from models.platform.errors import ConflictError, InvalidError, NotFoundError
from models.platform.timestamps import format_timestamp

NAME_CHARACTERS_MAX: Final = 80  # `operator/CODE`, as `operators add` names its keys, fits
OPERATORS_MAX: Final = 1000  # of one publisher
LISTED_MAX: Final = 10_000

# The gateway runs it for every request.
FIND: Final = text("""
    SELECT p.name, p.key_hash, p.read_only, clock_timestamp() AS now,
           coalesce(bound.operators, '{}') AS operators, coalesce(bound.ended, '{}') AS ended
      FROM publisher p
     CROSS JOIN LATERAL (
           SELECT array_agg(o.code ORDER BY o.code) AS operators,
                  array_agg(o.code) FILTER (WHERE o.ended_at IS NOT NULL) AS ended
             FROM publisher_operator po JOIN operator o ON o.id = po.operator
            WHERE po.publisher = p.id) bound
     WHERE p.key_hash = :key_hash AND p.revoked_at IS NULL
""")
OPERATORS: Final = text("SELECT id, code, ended_at FROM operator WHERE code = ANY(:codes)")
ADD: Final = text("""
    INSERT INTO publisher (name, key_hash, read_only) VALUES (:name, :key_hash, :read_only)
        ON CONFLICT (name) DO NOTHING
 RETURNING id""")
BIND: Final = text("""
    INSERT INTO publisher_operator (publisher, operator)
    SELECT :publisher, unnest(CAST(:operators AS integer[]))""")
LIST: Final = text("""
    SELECT p.name, coalesce(bound.operators, '{}') AS operators, p.read_only, p.created_at,
           p.revoked_at
      FROM publisher p
      LEFT JOIN (SELECT po.publisher, array_agg(o.code ORDER BY o.code) AS operators
                   FROM publisher_operator po JOIN operator o ON o.id = po.operator
                  GROUP BY po.publisher) bound ON bound.publisher = p.id
     ORDER BY p.name LIMIT :limit""")
LOCK: Final = text("SELECT id, revoked_at FROM publisher WHERE name = :name FOR NO KEY UPDATE")
REVOKE: Final = text("UPDATE publisher SET revoked_at = now() WHERE id = :id")


class PublisherInvalid(InvalidError):
    """This publisher cannot be added as described; the message says what is wrong."""


class PublisherOperatorNotFound(NotFoundError):
    """A publisher cannot be bound to an operator that does not exist."""


class PublisherExists(ConflictError):
    """The name is taken, perhaps by a revoked publisher: the sender of old events stays clear."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(
            f"publisher {name!r} exists already, or did: choose another name, such as {name}-2"
        )


class PublisherNotFound(NotFoundError):
    """There is no such publisher, or its key was revoked before."""


@dataclass(frozen=True, slots=True)
class PublisherLine:
    """A publisher as it may be shown: without its key, which is not stored."""

    name: str
    operators: tuple[str, ...]  # codes; empty: any
    read_only: bool
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The publisher that a key belongs to, at *now* by the database's clock."""

    name: str
    operators: tuple[str, ...]  # codes; empty: any
    read_only: bool
    now: datetime
    ended: frozenset[str] = frozenset()  # those of *operators* whose partnership has ended

    def may_name(self, operator: str) -> bool:
        """Return whether it may publish and read events of *operator*."""
        return not self.operators or operator in self.operators


def add_publisher(
    connection: Connection,
    name: str,
    *,
    operators: Sequence[str] = (),
    read_only: bool = False,
    person: Person,
) -> str:
    """Add a publisher in the caller's transaction, record who did it and why; return its key.

    Only the key's hash is stored, so this is the one time it can be shown. Without *operators* it
    may name any, also those that are added later. Raises PublisherInvalid,
    PublisherOperatorNotFound and PublisherExists; then nothing may be committed.
    """
    _check_name(name)
    codes = sorted(set(operators))
    if len(codes) > OPERATORS_MAX:
        raise PublisherInvalid(f"a key may be bound to at most {OPERATORS_MAX:,} operators")
    rows = connection.execute(OPERATORS, {"codes": codes}).all()
    known = {row.code: row.id for row in rows}
    if unknown := [code for code in codes if code not in known]:
        raise PublisherOperatorNotFound(f"no operator {', '.join(map(repr, unknown))}")
    if ended := sorted(row.code for row in rows if row.ended_at is not None):
        raise PublisherInvalid(
            f"the partnership with {', '.join(map(repr, ended))} has ended: its events are"
            " refused, so a key for it is of no use"
        )
    key = new_api_key()
    new = {"name": name, "key_hash": hash_key(key), "read_only": read_only}
    publisher = connection.execute(ADD, new).scalar_one_or_none()
    if publisher is None:
        raise PublisherExists(name)
    connection.execute(BIND, {"publisher": publisher, "operators": list(known.values())})
    facts = {"publisher": name, "operators": codes, "read_only": read_only}
    only = codes[0] if len(codes) == 1 else None
    record_intervention(
        connection, Change("publisher_added", operator=only, facts=facts), person=person
    )
    return key


def list_publishers(connection: Connection, *, limit: int = LISTED_MAX) -> list[PublisherLine]:
    """Return all publishers by name, revoked ones too, at most *limit*."""
    listed = connection.execute(LIST, {"limit": limit}).mappings()
    return [PublisherLine(**{**row, "operators": tuple(row["operators"])}) for row in listed]


def revoke_publisher(connection: Connection, name: str, *, person: Person) -> None:
    """Revoke a publisher's key, from when the caller's transaction commits.

    Raises PublisherNotFound.
    """
    publisher = connection.execute(LOCK, {"name": name}).one_or_none()
    if publisher is None:
        raise PublisherNotFound(f"no publisher {name!r}")
    if publisher.revoked_at is not None:
        since = format_timestamp(publisher.revoked_at)
        raise PublisherNotFound(f"publisher {name!r} has been revoked since {since}")
    connection.execute(REVOKE, {"id": publisher.id})
    change = Change("publisher_revoked", facts={"publisher": name})
    record_intervention(connection, change, person=person)


def find_key_holder(connection: Connection, key: str) -> KeyHolder | None:
    """Return the publisher of *key*, or None if the key is unknown or revoked.

    It is found by the hash, in an index: the time that takes depends on the hash alone, from which
    no key can be made. The hash that was found is compared in constant time all the same.
    """
    key_hash = hash_key(key)
    row = connection.execute(FIND, {"key_hash": key_hash}).one_or_none()
    if row is None or not hmac.compare_digest(row.key_hash, key_hash):
        return None
    return KeyHolder(
        name=row.name,
        operators=tuple(row.operators),
        read_only=row.read_only,
        now=row.now.astimezone(UTC),
        ended=frozenset(row.ended),
    )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or " " in name:
        raise PublisherInvalid(
            f"name {name[:100]!r} must be 1 to {NAME_CHARACTERS_MAX} printable characters"
            " without spaces"
        )

"""Publishers' keys for the gateway: adding, listing, revoking, and recognising one by its hash."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text

from models.operators.interventions import Change, Person, record_intervention
from models.platform.encryption import hash_key, new_api_key
from models.platform.timestamps import format_timestamp

NAME_CHARACTERS_MAX: Final = 80  # `operator/CODE`, as `operators add` names its keys, fits
OPERATORS_MAX: Final = 1000  # of one publisher
LISTED_MAX: Final = 10_000

OPERATORS: Final = text("SELECT id, code FROM operator WHERE code = ANY(:codes)")
ADD: Final = text("""
    INSERT INTO publisher (name, key_hash, read_only) VALUES (:name, :key_hash, :read_only)
    ON CONFLICT (name) DO NOTHING
    RETURNING id
""")
BIND: Final = text("""
    INSERT INTO publisher_operator (publisher, operator)
    SELECT :publisher, operator FROM unnest(CAST(:operators AS int[])) AS operator
""")
_OPERATORS_OF = """
    ARRAY(SELECT o.code FROM publisher_operator po JOIN operator o ON o.id = po.operator
           WHERE po.publisher = p.id ORDER BY o.code) AS operators"""
LIST: Final = text(f"""
    SELECT p.name, p.read_only, p.created_at, p.revoked_at, {_OPERATORS_OF}
      FROM publisher p ORDER BY p.name LIMIT :limit
""")  # noqa: S608 - a constant column
REVOKE: Final = text("""
    UPDATE publisher SET revoked_at = now() WHERE name = :name AND revoked_at IS NULL
    RETURNING id
""")
REVOKED: Final = text("SELECT revoked_at FROM publisher WHERE name = :name")
FIND: Final = text(f"""
    SELECT p.name, p.key_hash, p.read_only, clock_timestamp() AS now, {_OPERATORS_OF}
      FROM publisher p WHERE p.key_hash = :key_hash AND p.revoked_at IS NULL
""")  # noqa: S608 - a constant column


class PublisherInvalid(ValueError):
    """This publisher cannot be added as described; the message says what to change."""


class PublisherExists(ValueError):
    """There is, or was, a publisher of this name: whose events were whose must stay clear."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(
            f"there is a publisher {name!r} already, or was: take another name, such as {name}-2"
        )


class PublisherUnknown(ValueError):
    """There is no such publisher, or its key has been revoked before."""


@dataclass(frozen=True, slots=True)
class PublisherLine:
    """A publisher as it may be shown: without its key, which nobody has any more."""

    name: str
    operators: tuple[str, ...]  # codes; empty: any
    read_only: bool
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom a key belongs to and what it opens, at *now* by the database's clock."""

    name: str
    operators: tuple[str, ...]  # codes; empty: any
    read_only: bool
    now: datetime

    def may_name(self, operator: str) -> bool:
        """Say whether it may speak for *operator*, and see what is said of it."""
        return not self.operators or operator in self.operators


def add_publisher(
    connection: Connection,
    name: str,
    *,
    operators: Sequence[str] = (),
    read_only: bool = False,
    person: Person,
) -> str:
    """Add a publisher in the caller's transaction, with who did it and why; return its key.

    Only the key's hash is kept, so this is the one time it can be shown. Without *operators* it
    may speak for any, also for those that are added later. Raises PublisherInvalid and
    PublisherExists; then nothing may be committed.
    """
    _check_name(name)
    codes = sorted(set(operators))
    if len(codes) > OPERATORS_MAX:
        raise PublisherInvalid(f"a key may be bound to at most {OPERATORS_MAX:,} operators")
    known = {row.code: row.id for row in connection.execute(OPERATORS, {"codes": codes})}
    if unknown := [code for code in codes if code not in known]:
        raise PublisherInvalid(
            f"no operator {', '.join(map(repr, unknown))}; see `slipway operators list`"
        )
    key = new_api_key()
    row = {"name": name, "key_hash": hash_key(key), "read_only": read_only}
    publisher = connection.execute(ADD, row).scalar_one_or_none()
    if publisher is None:
        raise PublisherExists(name)
    if known:
        connection.execute(BIND, {"publisher": publisher, "operators": list(known.values())})
    facts = {"publisher": name, "operators": codes, "read_only": read_only}
    only = codes[0] if len(codes) == 1 else None
    record_intervention(
        connection, Change("publisher_added", operator=only, facts=facts), person=person
    )
    return key


def list_publishers(connection: Connection, *, limit: int = LISTED_MAX) -> list[PublisherLine]:
    """All publishers by name, revoked ones too, at most *limit*."""
    rows = connection.execute(LIST, {"limit": limit}).mappings()
    return [PublisherLine(**{**row, "operators": tuple(row["operators"])}) for row in rows]


def revoke_publisher(connection: Connection, name: str, *, person: Person) -> None:
    """Make a publisher's key open nothing any more, once the caller's transaction commits.

    Raises PublisherUnknown.
    """
    if connection.execute(REVOKE, {"name": name}).first() is None:
        revoked_at = connection.execute(REVOKED, {"name": name}).scalar_one_or_none()
        if revoked_at is None:
            raise PublisherUnknown(f"no publisher {name!r}; see `slipway publishers list`")
        raise PublisherUnknown(
            f"publisher {name!r} is revoked since {format_timestamp(revoked_at)}"
        )
    change = Change("publisher_revoked", facts={"publisher": name})
    record_intervention(connection, change, person=person)


def find_key_holder(connection: Connection, key: str) -> KeyHolder | None:
    """Whose key this is; None for a stranger's and a revoked one.

    Found by the hash, in an index: how long that takes tells of the hash alone, from which no key
    can be made. What was found is compared in constant time all the same.
    """
    key_hash = hash_key(key)
    row = connection.execute(FIND, {"key_hash": key_hash}).one_or_none()
    if row is None or not hmac.compare_digest(row.key_hash, key_hash):
        return None
    return KeyHolder(row.name, tuple(row.operators), row.read_only, row.now.astimezone(UTC))


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or " " in name:
        raise PublisherInvalid(
            f"name {name[:100]!r} must be 1 to {NAME_CHARACTERS_MAX} printable characters"
            " without spaces"
        )

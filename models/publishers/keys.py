"""Publishers' keys for the gateway: adds, lists and revokes them, and finds one by its hash."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.platform.encryption import hash_key, new_api_key
from models.platform.errors import ConflictError, InvalidError, NotFoundError
from models.platform.timestamps import format_timestamp
from models.tables.operator import Operator, PublisherAccount, PublisherOperator

NAME_CHARACTERS_MAX: Final = 80  # `operator/CODE`, as `operators add` names its keys, fits
OPERATORS_MAX: Final = 1000  # of one publisher
LISTED_MAX: Final = 10_000

# Text, not SQLModel: the gateway runs it for every request.
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
    with rows_within(connection) as session:
        query = select(Operator).where(col(Operator.code).in_(codes))
        rows = session.exec(query).all()
        known = {operator.code: operator.id for operator in rows if operator.id is not None}
        if unknown := [code for code in codes if code not in known]:
            raise PublisherOperatorNotFound(f"no operator {', '.join(map(repr, unknown))}")
        if ended := sorted(operator.code for operator in rows if operator.ended_at is not None):
            raise PublisherInvalid(
                f"the partnership with {', '.join(map(repr, ended))} has ended: its events are"
                " refused, so a key for it is of no use"
            )
        key = new_api_key()
        publisher = connection.execute(
            insert(PublisherAccount)
            .values(name=name, key_hash=hash_key(key), read_only=read_only)
            .on_conflict_do_nothing(index_elements=["name"])
            .returning(col(PublisherAccount.id))
        ).scalar_one_or_none()
        if publisher is None:
            raise PublisherExists(name)
        session.add_all(
            PublisherOperator(publisher=publisher, operator=operator) for operator in known.values()
        )
        session.flush()
    facts = {"publisher": name, "operators": codes, "read_only": read_only}
    only = codes[0] if len(codes) == 1 else None
    record_intervention(
        connection, Change("publisher_added", operator=only, facts=facts), person=person
    )
    return key


def list_publishers(connection: Connection, *, limit: int = LISTED_MAX) -> list[PublisherLine]:
    """Return all publishers by name, revoked ones too, at most *limit*."""
    bound = (
        select(PublisherOperator.publisher, Operator.code)
        .join(Operator, col(Operator.id) == PublisherOperator.operator)
        .order_by(Operator.code)
    )
    with rows_within(connection) as session:
        publishers = session.exec(
            select(PublisherAccount).order_by(PublisherAccount.name).limit(limit)
        ).all()
        codes: dict[int | None, list[str]] = {}
        for publisher, code in session.exec(bound):
            codes.setdefault(publisher, []).append(code)
    return [_line(publisher, codes.get(publisher.id, ())) for publisher in publishers]


def revoke_publisher(connection: Connection, name: str, *, person: Person) -> None:
    """Revoke a publisher's key, from when the caller's transaction commits.

    Raises PublisherNotFound.
    """
    with rows_within(connection) as session:
        query = (
            select(PublisherAccount)
            .where(PublisherAccount.name == name)
            .with_for_update(key_share=True)
        )
        publisher = session.exec(query).one_or_none()
        if publisher is None:
            raise PublisherNotFound(f"no publisher {name!r}")
        if publisher.revoked_at is not None:
            since = format_timestamp(publisher.revoked_at)
            raise PublisherNotFound(f"publisher {name!r} has been revoked since {since}")
        publisher.revoked_at = session.exec(select(func.now())).one()
        session.flush()
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


def _line(publisher: PublisherAccount, operators: Sequence[str]) -> PublisherLine:
    assert publisher.created_at is not None, "the database fills it in"
    return PublisherLine(
        name=publisher.name,
        operators=tuple(operators),
        read_only=publisher.read_only,
        created_at=publisher.created_at,
        revoked_at=publisher.revoked_at,
    )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or " " in name:
        raise PublisherInvalid(
            f"name {name[:100]!r} must be 1 to {NAME_CHARACTERS_MAX} printable characters"
            " without spaces"
        )

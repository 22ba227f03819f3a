"""Adds an operator. Its secret is stored encrypted, its API key as a hash."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from models.database.rows import rows_within
from models.operators.change import terms_facts
from models.operators.interventions import Change, Person, record_intervention
from models.operators.validation import NewOperator, OperatorTerms, check_new_operator
from models.platform.encryption import Vault, hash_key
from models.platform.errors import ConflictError
from models.platform.timestamps import format_timestamp
from models.tables.operator import Operator, PublisherAccount, PublisherOperator


class OperatorExists(ConflictError):
    """An operator with this code exists already; codes cannot be reused."""

    def __init__(self, code: str, *, ended_at: datetime | None = None) -> None:
        """Name the code, and whether its partnership has ended: its code is not free for that.

        Its tickets keep their ids, and their late events must not reach a new partner's.
        """
        ended = "" if ended_at is None else f" (ended at {format_timestamp(ended_at, 'seconds')})"
        super().__init__(f"an operator {code!r} exists already{ended}; choose another code")


class ApiKeyTaken(ConflictError):
    """Another publisher has this API key: the sender of an event would be ambiguous."""

    def __init__(self) -> None:
        """Explain without showing the key."""
        super().__init__("this API key belongs to a publisher already; use another one")


@dataclass(frozen=True, slots=True)
class Added:
    """A new operator's row, and the publisher its API key became, if one was given."""

    id: int
    publisher: str | None


def add_operator(
    connection: Connection, new: NewOperator, *, vault: Vault, person: Person
) -> Added:
    """Add *new* in the caller's transaction, and record who did it and why.

    A seamless operator announces its tickets whatever *new* says: a payout needs their amounts
    (contracts 2.2). Raises OperatorInvalid, OperatorExists, ApiKeyTaken; then nothing may be
    committed.
    """
    check_new_operator(new)
    terms = {term.name: getattr(new, term.name) for term in fields(OperatorTerms)}
    terms["announces_tickets"] = new.announces_tickets or new.protocol == "seamless"
    operator = connection.execute(
        insert(Operator)
        .values(**terms, secret=vault.encrypt(new.secret))
        .on_conflict_do_nothing(index_elements=["code"])
        .returning(col(Operator.id))
    ).scalar_one_or_none()
    if operator is None:
        with rows_within(connection) as session:
            known = select(Operator.ended_at).where(Operator.code == new.code)
            raise OperatorExists(new.code, ended_at=session.exec(known).one_or_none())
    publisher = None if new.api_key is None else _bind_key(connection, new, operator)
    facts = terms_facts(new) | {"announces_tickets": terms["announces_tickets"]}
    del facts["code"]
    facts["publisher"] = publisher
    record_intervention(
        connection, Change("operator_added", operator=new.code, facts=facts), person=person
    )
    return Added(operator, publisher)


def _bind_key(connection: Connection, new: NewOperator, operator: int) -> str:
    """Store the key's hash as a publisher that may name this operator only; return its name."""
    assert new.api_key is not None, "the caller asked"
    name = f"operator/{new.code}"
    publisher = connection.execute(
        insert(PublisherAccount)
        .values(name=name, key_hash=hash_key(new.api_key))
        .on_conflict_do_nothing()
        .returning(col(PublisherAccount.id))
    ).scalar_one_or_none()
    if publisher is None:
        raise ApiKeyTaken
    with rows_within(connection) as session:
        session.add(PublisherOperator(publisher=publisher, operator=operator))
        session.flush()
    return name

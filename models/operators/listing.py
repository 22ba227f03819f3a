"""Shows operators: everything but their secrets and keys, which are never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, literal, tuple_
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from models.database.rows import rows_within
from models.operators.delivery_terms import DeliveryTerms
from models.operators.ended import OperatorEnded
from models.platform.errors import NotFoundError
from models.tables.intervention import Intervention
from models.tables.operator import Operator, PublisherAccount, PublisherOperator

LISTED_MAX: Final = 10_000
CHANGES_MAX: Final = 20
_ID_MAX: Final = 2**63 - 1


class OperatorNotFound(NotFoundError):
    """There is no operator with this code."""

    def __init__(self, code: str, *, nearest: str | None = None) -> None:
        """Name the code, and the one that was probably meant."""
        meant = "" if nearest is None else f" (did you mean {nearest!r}?)"
        super().__init__(f"there is no operator {code[:80]!r}{meant}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorLine(DeliveryTerms):
    """An operator as it may be shown: everything but its secrets and its keys."""

    code: str
    protocol: str
    url: str
    agent: str | None
    sign_calls: bool
    close_delay: timedelta
    announces_tickets: bool
    rate: float | None  # notices per second; none: no limit
    in_flight: int
    timezone: str
    lottery_ticket: str
    switch_at: datetime | None  # during a rotation: when the new secret begins to sign
    forget_at: datetime | None  # and when the old one is no longer accepted
    disabled_at: datetime | None
    ended_at: datetime | None  # the partnership is over, for good
    created_at: datetime
    keys: tuple[str, ...]  # names of the publishers bound to it, without the revoked ones


_SHOWN: Final = [column.name for column in fields(OperatorLine) if column.name != "keys"]


@dataclass(frozen=True, slots=True)
class OperatorChange:
    """What a person changed about an operator, and why."""

    at: datetime
    who: str
    why: str
    did: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """One operator and its latest changes, the newest first."""

    operator: OperatorLine
    changes: tuple[OperatorChange, ...]


def list_operators(connection: Connection, *, limit: int = LISTED_MAX) -> list[OperatorLine]:
    """Return all operators by code, at most *limit*."""
    with rows_within(connection) as session:
        operators = session.exec(select(Operator).order_by(Operator.code).limit(limit)).all()
        keys = _key_names(session)
    return [_line(operator, keys.get(operator.code, ())) for operator in operators]


def show_operator(connection: Connection, code: str) -> OperatorPage:
    """Return one operator with what people changed about it. Raises OperatorNotFound."""
    with rows_within(connection) as session:
        operator = session.exec(select(Operator).where(Operator.code == code)).one_or_none()
        if operator is None:
            raise unknown_operator(connection, code)
        changes = session.exec(_own_changes(code).limit(CHANGES_MAX)).all()
        keys = _key_names(session, code)
    return OperatorPage(
        _line(operator, keys.get(code, ())),
        tuple(_change(change) for change in changes),
    )


def latest_change(connection: Connection, code: str, did: str) -> OperatorChange | None:
    """Return the newest change of this kind that a person made to an operator, or None."""
    with rows_within(connection) as session:
        row = session.exec(_own_changes(code).where(Intervention.did == did).limit(1)).one_or_none()
    return None if row is None else _change(row)


def show_changeable(connection: Connection, code: str) -> OperatorLine:
    """Return one operator that can be changed. Raises OperatorNotFound, OperatorEnded."""
    operator = show_operator(connection, code).operator
    if operator.ended_at is not None:
        raise OperatorEnded(code, operator.ended_at)
    return operator


def unknown_operator(connection: Connection, code: str) -> OperatorNotFound:
    """Return the error for a code that does not exist, with the nearest one that does."""
    with rows_within(connection) as session:
        codes = session.exec(select(Operator.code).order_by(Operator.code).limit(LISTED_MAX)).all()
    nearest = get_close_matches(code, codes, n=1)
    return OperatorNotFound(code, nearest=nearest[0] if nearest else None)


def _own_changes(code: str) -> SelectOfScalar[Intervention]:
    """Select what was done to an operator itself, the newest first.

    As whole rows with the operator in the order: only the index `intervention_operator_itself` has
    that order, so the planner does not walk through all that was ever done.
    """
    place = tuple_(col(Intervention.operator), col(Intervention.id))
    first, last = (tuple_(literal(code), literal(end, BigInteger)) for end in (0, _ID_MAX))
    return (
        select(Intervention)
        .where(place >= first, place <= last, col(Intervention.ticket).is_(None))
        .order_by(col(Intervention.operator).desc(), col(Intervention.id).desc())
    )


def _key_names(session: Session, code: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return the names of the publishers in force, by the code of the operator they may name."""
    query = (
        select(Operator.code, PublisherAccount.name)
        .join(PublisherOperator, col(PublisherOperator.operator) == Operator.id)
        .join(PublisherAccount, col(PublisherAccount.id) == PublisherOperator.publisher)
        .where(col(PublisherAccount.revoked_at).is_(None))
        .order_by(PublisherAccount.name)
    )
    if code is not None:
        query = query.where(Operator.code == code)
    names: dict[str, tuple[str, ...]] = {}
    for operator, name in session.exec(query):
        names[operator] = (*names.get(operator, ()), name)
    return names


def _line(operator: Operator, keys: tuple[str, ...]) -> OperatorLine:
    shown = {name: getattr(operator, name) for name in _SHOWN}
    return OperatorLine(**shown, keys=keys)


def _change(change: Intervention) -> OperatorChange:
    assert change.at is not None, "the database fills it in"
    return OperatorChange(
        at=change.at, who=change.who, why=change.why, did=change.did, facts=change.facts
    )

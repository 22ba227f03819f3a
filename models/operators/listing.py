"""Shows operators: everything but their secrets and keys, which are never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.operators.delivery_terms import DeliveryTerms
from models.operators.ended import OperatorEnded
from models.platform.errors import NotFoundError

LISTED_MAX: Final = 10_000
CHANGES_MAX: Final = 20


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


_SHOWN: Final = ", ".join(
    f"o.{column.name}" for column in fields(OperatorLine) if column.name != "keys"
)
# Keys are the publishers in force that may name it.
LIST: Final = text(f"""
    SELECT {_SHOWN}, coalesce(bound.keys, '{{}}') AS keys
      FROM operator o
      LEFT JOIN (SELECT po.operator, array_agg(p.name ORDER BY p.name) AS keys
                   FROM publisher_operator po JOIN publisher p ON p.id = po.publisher
                  WHERE p.revoked_at IS NULL GROUP BY po.operator) bound ON bound.operator = o.id
     ORDER BY o.code LIMIT :limit""")  # noqa: S608 - constants
SHOW: Final = text(f"""
    SELECT {_SHOWN},
           ARRAY(SELECT p.name FROM publisher_operator po
                  CROSS JOIN LATERAL (SELECT * FROM publisher WHERE id = po.publisher LIMIT 1) p
                  WHERE po.operator = o.id AND p.revoked_at IS NULL ORDER BY p.name) AS keys
      FROM operator o WHERE o.code = :code""")  # noqa: S608 - constants
CODES: Final = text("SELECT code FROM operator ORDER BY code LIMIT :limit")
# What was done to an operator itself, the newest first. With the operator in the order: only the
# index `intervention_operator_itself` has that order, so the planner does not walk through all that
# was ever done.
CHANGES: Final = text("""
    SELECT at, who, why, did, facts FROM intervention
     WHERE (operator, id) >= (:code, bigint '0')
       AND (operator, id) <= (:code, bigint '9223372036854775807')
       AND ticket IS NULL AND (CAST(:did AS text) IS NULL OR did = :did)
     ORDER BY operator DESC, id DESC LIMIT :limit""")


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
    return [_line(row) for row in connection.execute(LIST, {"limit": limit})]


def show_operator(connection: Connection, code: str) -> OperatorPage:
    """Return one operator with what people changed about it. Raises OperatorNotFound."""
    operator = connection.execute(SHOW, {"code": code}).one_or_none()
    if operator is None:
        raise unknown_operator(connection, code)
    return OperatorPage(_line(operator), tuple(_changes(connection, code, limit=CHANGES_MAX)))


def latest_change(connection: Connection, code: str, did: str) -> OperatorChange | None:
    """Return the newest change of this kind that a person made to an operator, or None."""
    changes = _changes(connection, code, did=did, limit=1)
    return changes[0] if changes else None


def show_changeable(connection: Connection, code: str) -> OperatorLine:
    """Return one operator that can be changed. Raises OperatorNotFound, OperatorEnded."""
    operator = show_operator(connection, code).operator
    if operator.ended_at is not None:
        raise OperatorEnded(code, operator.ended_at)
    return operator


def unknown_operator(connection: Connection, code: str) -> OperatorNotFound:
    """Return the error for a code that does not exist, with the nearest one that does."""
    codes = connection.execute(CODES, {"limit": LISTED_MAX}).scalars().all()
    nearest = get_close_matches(code, codes, n=1)
    return OperatorNotFound(code, nearest=nearest[0] if nearest else None)


def _line(row: Row[Any]) -> OperatorLine:
    shown = row._asdict()
    return OperatorLine(**shown | {"keys": tuple(shown["keys"])})


def _changes(
    connection: Connection, code: str, *, limit: int, did: str | None = None
) -> list[OperatorChange]:
    parameters = {"code": code, "did": did, "limit": limit}
    rows = connection.execute(CHANGES, parameters).mappings()
    return [OperatorChange(**row) for row in rows]

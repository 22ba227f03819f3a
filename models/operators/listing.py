"""Shows operators: everything but their secrets and keys, which never come out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection, text

LISTED_MAX: Final = 10_000
CHANGES_MAX: Final = 20

LIST: Final = text("""
    SELECT o.code, o.protocol, o.url, o.agent, o.sign_calls, o.close_delay, o.announces_tickets,
           o.rate, o.in_flight, o.timezone, o.lottery_ticket, o.switch_at, o.forget_at,
           o.disabled_at, o.created_at,
           ARRAY(SELECT p.name
                   FROM publisher p JOIN publisher_operator po ON po.publisher = p.id
                  WHERE po.operator = o.id AND p.revoked_at IS NULL
                  ORDER BY p.name) AS keys
      FROM operator o
     WHERE CAST(:code AS text) IS NULL OR o.code = :code
     ORDER BY o.code
     LIMIT :limit
""")
CODES: Final = text("SELECT code FROM operator ORDER BY code LIMIT :limit")
CHANGES: Final = text("""
    SELECT at, who, why, did, facts FROM intervention
     WHERE operator = :code AND ticket IS NULL ORDER BY id DESC LIMIT :limit
""")


class OperatorUnknown(ValueError):
    """There is no operator with this code."""

    def __init__(self, code: str, *, nearest: str | None = None) -> None:
        """Name the code, and the one that was probably meant."""
        meant = "" if nearest is None else f" (did you mean {nearest!r}?)"
        super().__init__(f"there is no operator {code[:80]!r}{meant}; see `slipway operators list`")


@dataclass(frozen=True, slots=True)
class OperatorLine:
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
    switch_at: datetime | None  # while its secret is exchanged: when the new one begins to sign
    forget_at: datetime | None  # and when the old one is accepted no longer
    disabled_at: datetime | None
    created_at: datetime
    keys: tuple[str, ...]  # names of the publishers bound to it, revoked ones left out


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
    """All operators by code, at most *limit*."""
    return _lines(connection, code=None, limit=limit)


def show_operator(connection: Connection, code: str) -> OperatorPage:
    """One operator with what people changed about it. Raises OperatorUnknown."""
    lines = _lines(connection, code=code, limit=1)
    if not lines:
        raise unknown_operator(connection, code)
    changes = connection.execute(CHANGES, {"code": code, "limit": CHANGES_MAX}).mappings()
    return OperatorPage(lines[0], tuple(OperatorChange(**row) for row in changes))


def unknown_operator(connection: Connection, code: str) -> OperatorUnknown:
    """Make the error for a code that is not there, with the nearest one that is."""
    codes = connection.execute(CODES, {"limit": LISTED_MAX}).scalars().all()
    nearest = get_close_matches(code, codes, n=1)
    return OperatorUnknown(code, nearest=nearest[0] if nearest else None)


def _lines(connection: Connection, *, code: str | None, limit: int) -> list[OperatorLine]:
    rows = connection.execute(LIST, {"code": code, "limit": limit}).mappings()
    return [OperatorLine(**{**row, "keys": tuple(row["keys"])}) for row in rows]

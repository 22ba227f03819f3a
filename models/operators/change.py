"""Changes an operator: what holds for it, and whether anything is sent to it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final, TypedDict

from sqlalchemy import Connection, TextClause, text

from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.operators.validation import OperatorInvalid, OperatorTerms, check_terms
from models.platform.clock import in_seconds
from models.platform.durations import format_duration

LOCK: Final = text("""
    SELECT code, url, protocol, agent, sign_calls, close_delay, announces_tickets, rate, in_flight,
           timezone, lottery_ticket
      FROM operator WHERE code = :code FOR NO KEY UPDATE
""")
CHANGE: Final = text(f"""
    UPDATE operator
       SET url = :url, agent = :agent, sign_calls = :sign_calls,
           announces_tickets = :announces_tickets, rate = :rate, in_flight = :in_flight,
           timezone = :timezone, lottery_ticket = :lottery_ticket,
           close_delay = {in_seconds("CAST(:close_delay AS interval)")}
     WHERE code = :code
""")  # noqa: S608 - a constant
HOLD: Final = text("""
    UPDATE operator SET disabled_at = :now WHERE code = :code AND disabled_at IS NULL
""")
LET_GO: Final = text("""
    UPDATE operator SET disabled_at = NULL WHERE code = :code AND disabled_at IS NOT NULL
""")


class OperatorPatch(TypedDict, total=False):
    """What shall be different about an operator; what is not named stays.

    Its code and protocol stay for ever: its tickets and notices are written for them.
    """

    url: str
    agent: str
    sign_calls: bool
    close_delay: timedelta
    announces_tickets: bool
    rate: float | None
    in_flight: int
    timezone: str
    lottery_ticket: str


@dataclass(frozen=True, slots=True)
class Changed:
    """An operator's terms as they are now, and as they were: only what differs, by name."""

    terms: OperatorTerms
    before: Mapping[str, object]


def change_operator(
    connection: Connection, code: str, wishes: OperatorPatch, *, person: Person
) -> Changed:
    """Change what holds for an operator in the caller's transaction, and keep who, why and what.

    Delivery goes by it within a second. A close delay counts for results that are taken from now
    on, an agent for calls that are worded from now on. Nothing is kept when nothing differs.
    Raises OperatorInvalid, OperatorUnknown; then nothing may be committed.
    """
    row = connection.execute(LOCK, {"code": code}).mappings().one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    before = OperatorTerms(**row)
    after = replace(before, **wishes)
    check_terms(after)
    if after.protocol == "seamless" and not after.announces_tickets:
        raise OperatorInvalid(
            ["a seamless operator always announces its tickets: a payout needs their amounts"]
        )
    old, new = _shown(before), _shown(after)
    differing = [name for name in new if old[name] != new[name]]
    if differing:
        connection.execute(CHANGE, {one.name: getattr(after, one.name) for one in fields(after)})
        facts = {name: {"from": old[name], "to": new[name]} for name in differing}
        record_intervention(
            connection, Change("operator_changed", operator=code, facts=facts), person=person
        )
    return Changed(after, {name: getattr(before, name) for name in differing})


def disable_operator(connection: Connection, code: str, *, now: datetime, person: Person) -> bool:
    """Hold the operator's notices; its events go on being applied. False: they were held already.

    What is on the line at this moment is finished. Raises OperatorUnknown.
    """
    return _turn(connection, code, HOLD, "operator_disabled", now=now, person=person)


def enable_operator(connection: Connection, code: str, *, now: datetime, person: Person) -> bool:
    """Let the operator's notices go, at its rate. False: they went already.

    Raises OperatorUnknown.
    """
    return _turn(connection, code, LET_GO, "operator_enabled", now=now, person=person)


def _turn(
    connection: Connection,
    code: str,
    statement: TextClause,
    did: str,
    *,
    now: datetime,
    person: Person,
) -> bool:
    if connection.execute(LOCK, {"code": code}).one_or_none() is None:
        raise unknown_operator(connection, code)
    if not connection.execute(statement, {"code": code, "now": now}).rowcount:
        return False
    record_intervention(connection, Change(did, operator=code), person=person, at=now)
    return True


def _shown(terms: OperatorTerms) -> dict[str, object]:
    """The terms as the record of a change holds them: in JSON's own words."""
    shown = {one.name: getattr(terms, one.name) for one in fields(terms)}
    return shown | {"close_delay": format_duration(terms.close_delay)}

"""Changes an operator: its terms, and whether notices are sent to it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final, TypedDict

from sqlalchemy import Connection

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.operators.locked_row import locked_operator
from models.operators.problems import OperatorInvalid, OperatorProblem
from models.operators.validation import OperatorTerms, check_terms
from models.operators.words import format_term
from models.platform.durations import format_duration
from models.platform.errors import ConflictError

_TERMS: Final = fields(OperatorTerms)


class OperatorPatch(TypedDict, total=False):
    """The fields of an operator to change; what is not named stays.

    Its code and protocol are immutable: its tickets and notices were made for them.
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
    user_agent: str | None
    timeout: timedelta | None
    retry_schedule: str | None
    retry_limit: timedelta | None
    taken: str | None
    create_taken: str | None
    success_json: bool
    success_text: str | None
    wants: str | None
    pass_trace: bool
    keep_bodies: timedelta | None


@dataclass(frozen=True, slots=True)
class Changed:
    """An operator's terms as they are now, and as they were: only what differs, by name."""

    terms: OperatorTerms
    before: Mapping[str, object]


class TermsChanged(ConflictError):
    """The terms are not those any more that the person saw."""

    def __init__(self, code: str, differing: Mapping[str, tuple[object, object]]) -> None:
        """Keep what differs, by name: as it was seen, and as it is."""
        self.differing = dict(differing)
        what = "; ".join(
            f"{name.replace('_', ' ')} was {format_term(before)}, now it is {format_term(after)}"
            for name, (before, after) in self.differing.items()
        )
        super().__init__(f"the terms of operator {code!r} were changed meanwhile: {what}.")


def change_operator(
    connection: Connection,
    code: str,
    patch: OperatorPatch,
    *,
    person: Person,
    seen: Mapping[str, object] | None = None,
) -> Changed:
    """Change an operator's terms in the caller's transaction; record who did it, why and what.

    Delivery uses them within a second. A close delay counts for results that are delivered from now
    on, an agent for calls that are built from now on. Nothing is recorded when nothing differs.
    *seen*: the `terms_facts` that the person saw.
    Raises OperatorInvalid, OperatorNotFound, OperatorEnded, and TermsChanged if what was seen does
    not hold any more; then nothing may be committed.
    """
    with rows_within(connection) as session:
        row = locked_operator(session, code)
        before = OperatorTerms(**{term.name: getattr(row, term.name) for term in _TERMS})
        if seen is not None:
            _check_seen(code, seen, before)
        after = replace(before, **patch)
        check_terms(after)
        if after.protocol == "seamless" and not after.announces_tickets:
            problem = OperatorProblem(
                "a seamless operator always announces its tickets: a payout needs their amounts",
                field="announces_tickets",
            )
            raise OperatorInvalid([problem])
        old, new = terms_facts(before), terms_facts(after)
        differing = [name for name in new if old[name] != new[name]]
        for name in differing:
            setattr(row, name, getattr(after, name))
        session.flush()
    if differing:
        facts = {name: {"from": old[name], "to": new[name]} for name in differing}
        record_intervention(
            connection, Change("operator_changed", operator=code, facts=facts), person=person
        )
    return Changed(after, {name: getattr(before, name) for name in differing})


def disable_operator(connection: Connection, code: str, *, now: datetime, person: Person) -> bool:
    """Hold the operator's notices, and return whether that changed anything.

    Its events are still applied, and the calls in flight are finished. Raises OperatorNotFound,
    OperatorEnded.
    """
    with rows_within(connection) as session:
        row = locked_operator(session, code)
        if row.disabled_at is not None:
            return False
        row.disabled_at = now
        session.flush()
    record_intervention(
        connection, Change("operator_disabled", operator=code), person=person, at=now
    )
    return True


def enable_operator(connection: Connection, code: str, *, now: datetime, person: Person) -> bool:
    """Send the operator's notices again, at its rate; return whether that changed anything.

    Raises OperatorNotFound, OperatorEnded.
    """
    with rows_within(connection) as session:
        row = locked_operator(session, code)
        if row.disabled_at is None:
            return False
        row.disabled_at = None
        session.flush()
    record_intervention(
        connection, Change("operator_enabled", operator=code), person=person, at=now
    )
    return True


def terms_facts(terms: OperatorTerms) -> dict[str, object]:
    """Return the terms as the record of a change holds them: as JSON values."""
    facts = {term.name: getattr(terms, term.name) for term in _TERMS}
    return {
        name: format_duration(fact) if isinstance(fact, timedelta) else fact
        for name, fact in facts.items()
    }


def _check_seen(code: str, seen: Mapping[str, object], present: OperatorTerms) -> None:
    facts = terms_facts(present)
    differing = {
        name: (seen[name], fact)
        for name, fact in facts.items()
        if name in seen and seen[name] != fact
    }
    if differing:
        raise TermsChanged(code, differing)

"""Makes operators what a file declares: plans what differs, and changes it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Connection
from sqlmodel import col, select

from models.access.check import access_mistakes
from models.access.document import open_access
from models.access.facts import access_facts, summarize_access
from models.access.values import NO_ACCESS, Access
from models.database.rows import rows_within
from models.operators.access import check_access, set_access
from models.operators.change import (
    OperatorPatch,
    change_operator,
    disable_operator,
    enable_operator,
)
from models.operators.interventions import Person
from models.operators.problems import OperatorInvalid, OperatorProblem, Remedy
from models.operators.secrets import EncryptedSecrets, verifying_secrets
from models.operators.store import add_operator
from models.operators.validation import NewOperator, OperatorTerms, check_new_operator, check_terms
from models.platform.encryption import DecryptionFailed, Vault, hash_key
from models.platform.timestamps import format_timestamp
from models.tables.operator import Operator, PublisherAccount, PublisherOperator

ENABLED: Final = "enabled"
ACCESS: Final = "access"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredOperator:
    """An operator as it must be. Without *secret* or *api_key*, the present ones stay."""

    terms: OperatorTerms
    enabled: bool = True
    access: Access | None = None  # None: as it is
    secret: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)


class DesiredChange(StrEnum):
    """What makes an operator match its declaration."""

    ADD = "add"
    CHANGE = "change"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Planned:
    """One operator's step, and what differs: by name, the present and the desired value."""

    desired: DesiredOperator
    step: DesiredChange
    differences: Mapping[str, tuple[object, object]]

    @property
    def code(self) -> str:
        """The operator's code."""
        return self.desired.terms.code


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. *unlisted*: operators that exist outside of the desired state; they stay.

    Those whose partnership has ended are none of them.
    """

    steps: Sequence[Planned]
    unlisted: Sequence[str]


def make_plan(
    connection: Connection, operators: Sequence[DesiredOperator], *, vault: Vault, now: datetime
) -> Plan:
    """Compare *operators* with those that exist, and lock these until they are changed.

    A protocol never changes, and a secret is not exchanged here: its partner must be informed.
    Raises OperatorInvalid with all that cannot be done.
    """
    present = _present(connection)
    problems = [*_duplicates(operators)]
    steps = []
    for desired in operators:
        code = desired.terms.code
        problems += [
            replace(problem, field=None, operator=code)
            for problem in _problems(desired, present.get(code), vault=vault, now=now)
        ]
        steps.append(_planned(_announcing(desired), present.get(code), vault=vault, now=now))
    if problems:
        raise OperatorInvalid(problems)
    listed = {desired.terms.code for desired in operators}
    going_on = {code for code, operator in present.items() if operator.row.ended_at is None}
    return Plan(steps, sorted(going_on - listed))


def carry_out(
    connection: Connection, plan: Plan, *, vault: Vault, now: datetime, person: Person
) -> None:
    """Carry out *plan* in the caller's transaction, the one in which it was made."""
    for planned in plan.steps:
        desired = planned.desired
        match planned.step:
            case DesiredChange.NOTHING:
                continue
            case DesiredChange.ADD:
                assert desired.secret is not None, "planned with one"
                new = _new(desired, desired.secret)
                add_operator(connection, new, vault=vault, person=person)
                if desired.access is not None:
                    _set_access(connection, desired, vault=vault, now=now, person=person)
            case DesiredChange.CHANGE:
                _change(connection, planned, person=person)
                if ACCESS in planned.differences:
                    _set_access(connection, desired, vault=vault, now=now, person=person)
        if planned.step is DesiredChange.CHANGE or not desired.enabled:
            switch = enable_operator if desired.enabled else disable_operator
            switch(connection, desired.terms.code, now=now, person=person)


def _change(connection: Connection, planned: Planned, *, person: Person) -> None:
    terms = planned.desired.terms
    patch = {
        name: getattr(terms, name) for name in planned.differences if name not in {ENABLED, ACCESS}
    }
    if patch:
        change_operator(connection, terms.code, cast("OperatorPatch", patch), person=person)


def _set_access(
    connection: Connection,
    desired: DesiredOperator,
    *,
    vault: Vault,
    now: datetime,
    person: Person,
) -> None:
    assert desired.access is not None, "planned with one"
    set_access(connection, desired.terms.code, desired.access, now=now, vault=vault, person=person)


@dataclass(frozen=True, slots=True)
class _Present:
    """An operator that exists, with the hashes of its publishers' keys."""

    row: Operator
    key_hashes: frozenset[str]


def _present(connection: Connection) -> dict[str, _Present]:
    """Return the operators by code, locked: what is planned must still hold when it is done."""
    locked = select(Operator).order_by(col(Operator.id)).with_for_update(key_share=True)
    bound = (
        select(PublisherOperator.operator, PublisherAccount.key_hash)
        .join(PublisherAccount, col(PublisherAccount.id) == PublisherOperator.publisher)
        .where(col(PublisherAccount.revoked_at).is_(None))
    )
    with rows_within(connection) as session:
        operators = session.exec(locked).all()
        hashes: dict[int | None, set[str]] = {}
        for operator, key_hash in session.exec(bound):
            hashes.setdefault(operator, set()).add(key_hash)
    return {row.code: _Present(row, frozenset(hashes.get(row.id, ()))) for row in operators}


def _planned(
    desired: DesiredOperator, present: _Present | None, *, vault: Vault, now: datetime
) -> Planned:
    if present is None:
        return Planned(desired, DesiredChange.ADD, {})
    row = present.row
    differences = {
        name: (getattr(row, name), value)
        for name, value in _terms(desired.terms).items()
        if getattr(row, name) != value
    }
    enabled = row.disabled_at is None
    if enabled is not desired.enabled:
        differences[ENABLED] = (enabled, desired.enabled)
    differences |= _access_difference(desired, row, vault=vault, now=now)
    step = DesiredChange.CHANGE if differences else DesiredChange.NOTHING
    return Planned(desired, step, differences)


def _access_difference(
    desired: DesiredOperator, row: Operator, *, vault: Vault, now: datetime
) -> dict[str, tuple[object, object]]:
    """Compare the access as a whole. It is said that a secret differs, never which."""
    if desired.access is None or any(access_mistakes(desired.access, now=now)):
        return {}
    is_over = row.access_switch_at is not None and row.access_switch_at <= now
    sealed = row.next_access if is_over else row.access
    try:
        present = NO_ACCESS if sealed is None else open_access(sealed, vault)
    except DecryptionFailed:
        return {
            ACCESS: ("one that no key decrypts", summarize_access(access_facts(desired.access)))
        }
    if present == desired.access and (row.access_switch_at is None or is_over):
        return {}
    before, after = access_facts(present), access_facts(desired.access)
    other = " (other secrets)" if before == after else ""
    return {ACCESS: (summarize_access(before), summarize_access(after) + other)}


def _announcing(desired: DesiredOperator) -> DesiredOperator:
    """Have a seamless operator announce its tickets in any case: payouts need that."""
    if desired.terms.protocol != "seamless":
        return desired
    return replace(desired, terms=replace(desired.terms, announces_tickets=True))


def _problems(
    desired: DesiredOperator, present: _Present | None, *, vault: Vault, now: datetime
) -> Iterable[OperatorProblem]:
    try:
        if present is not None:
            check_terms(desired.terms)
        elif desired.secret is None:
            yield OperatorProblem("it is new, so it needs a secret_file")
        else:
            check_new_operator(_new(desired, desired.secret))
    except OperatorInvalid as invalid:
        yield from invalid.problems
    try:
        if desired.access is not None:
            check_access(desired.access, now=now)
    except OperatorInvalid as invalid:
        yield from invalid.problems
    if present is not None:
        yield from _conflicts(desired, present, vault=vault, now=now)


def _conflicts(
    desired: DesiredOperator, present: _Present, *, vault: Vault, now: datetime
) -> Iterable[OperatorProblem]:
    """Find what an operator that exists cannot be made."""
    row = present.row
    if row.ended_at is not None:
        ended = format_timestamp(row.ended_at, "seconds")
        yield OperatorProblem(
            f"its partnership ended at {ended}, and that is final: take it out of the file"
        )
        return
    if desired.terms.protocol != row.protocol:
        yield OperatorProblem(
            f"its protocol is {row.protocol} and cannot be changed: its tickets were made for it"
        )
    if desired.secret is not None and desired.secret not in _secrets(row, vault, now):
        yield OperatorProblem(
            "its secret differs from the one in secret_file", remedy=Remedy.ROTATE
        )
    if desired.api_key is not None and hash_key(desired.api_key) not in present.key_hashes:
        yield OperatorProblem(
            "none of its publishers has the key in api_key_file", remedy=Remedy.ADD_PUBLISHER
        )


def _secrets(row: Operator, vault: Vault, now: datetime) -> tuple[str, ...]:
    """Return the secrets in use, or none if no key decrypts them."""
    secrets = EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)
    try:
        return verifying_secrets(secrets, vault, now)
    except DecryptionFailed:
        return ()


def _duplicates(operators: Sequence[DesiredOperator]) -> Iterable[OperatorProblem]:
    counts = Counter(desired.terms.code for desired in operators)
    for code, count in sorted(counts.items()):
        if count > 1:
            yield OperatorProblem(f"declared {count} times", operator=code)


def _new(desired: DesiredOperator, secret: str) -> NewOperator:
    return NewOperator(**_terms(desired.terms), secret=secret, api_key=desired.api_key)


def _terms(terms: OperatorTerms) -> dict[str, Any]:
    return {term.name: getattr(terms, term.name) for term in fields(OperatorTerms)}

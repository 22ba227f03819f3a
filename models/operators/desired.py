"""Operators as a file declares them: what would have to change, and changing it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Connection, Row, text

from models.operators.change import (
    OperatorPatch,
    change_operator,
    disable_operator,
    enable_operator,
)
from models.operators.interventions import Person
from models.operators.secrets import EncryptedSecrets, verifying_secrets
from models.operators.store import add_operator
from models.operators.validation import (
    NewOperator,
    OperatorInvalid,
    OperatorTerms,
    check_new_operator,
    check_terms,
)
from models.platform.encryption import DecryptionFailed, Vault, hash_key

# Locked: what is planned must still be so when it is carried out.
PRESENT: Final = text("""
    SELECT o.*, ARRAY(SELECT p.key_hash
                        FROM publisher p JOIN publisher_operator po ON po.publisher = p.id
                       WHERE po.operator = o.id AND p.revoked_at IS NULL) AS key_hashes
      FROM operator o ORDER BY o.id FOR NO KEY UPDATE OF o
""")
ENABLED: Final = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredOperator:
    """An operator as it shall be. Without *secret* or *api_key*, the present ones stay."""

    terms: OperatorTerms
    enabled: bool = True
    secret: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)


class DesiredChange(StrEnum):
    """What it takes to make an operator what is declared."""

    ADD = "add"
    CHANGE = "change"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Planned:
    """One operator's step, and what differs: by name, as it is and as it shall be."""

    declared: DesiredOperator
    step: DesiredChange
    differences: Mapping[str, tuple[object, object]]

    @property
    def code(self) -> str:
        """The operator's code."""
        return self.declared.terms.code


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. *unlisted*: operators that are there and not declared; they stay as they are."""

    steps: Sequence[Planned]
    unlisted: Sequence[str]


def make_plan(
    connection: Connection, declared: Sequence[DesiredOperator], *, vault: Vault, now: datetime
) -> Plan:
    """Compare *declared* with what is there. Raises OperatorInvalid, with all that cannot be done.

    A protocol never changes, and a secret is not exchanged by the way: partners must be told.
    """
    present = {row.code: row for row in connection.execute(PRESENT)}
    problems = [*_doubles(declared)]
    steps = []
    for one in declared:
        row = present.get(one.terms.code)
        found = _new_problems(one) if row is None else _problems(one, row, vault=vault, now=now)
        problems += [f"{one.terms.code}: {problem}" for problem in found]
        steps.append(_planned(_announcing(one), row))
    if problems:
        raise OperatorInvalid(problems)
    listed = {one.terms.code for one in declared}
    return Plan(steps, sorted(present.keys() - listed))


def carry_out(
    connection: Connection, plan: Plan, *, vault: Vault, now: datetime, person: Person
) -> None:
    """Do what *plan* says in the caller's transaction, the one in which it was made."""
    for planned in plan.steps:
        one = planned.declared
        match planned.step:
            case DesiredChange.NOTHING:
                continue
            case DesiredChange.ADD:
                assert one.secret is not None, "planned with one"
                new = NewOperator(**_terms(one.terms), secret=one.secret, api_key=one.api_key)
                add_operator(connection, new, vault=vault, person=person)
            case DesiredChange.CHANGE:
                _change(connection, planned, person=person)
        if planned.step is DesiredChange.CHANGE or not one.enabled:
            turn = enable_operator if one.enabled else disable_operator
            turn(connection, one.terms.code, now=now, person=person)


def _change(connection: Connection, planned: Planned, *, person: Person) -> None:
    terms = planned.declared.terms
    wishes = {name: getattr(terms, name) for name in planned.differences if name != ENABLED}
    if wishes:
        change_operator(connection, terms.code, cast("OperatorPatch", wishes), person=person)


def _planned(one: DesiredOperator, row: Row[Any] | None) -> Planned:
    if row is None:
        return Planned(one, DesiredChange.ADD, {})
    differences = {
        name: (getattr(row, name), value)
        for name, value in _terms(one.terms).items()
        if getattr(row, name) != value
    }
    enabled = row.disabled_at is None
    if enabled is not one.enabled:
        differences[ENABLED] = (enabled, one.enabled)
    return Planned(one, DesiredChange.CHANGE if differences else DesiredChange.NOTHING, differences)


def _announcing(one: DesiredOperator) -> DesiredOperator:
    """A seamless operator announces its tickets, whatever is declared (design.md 3)."""
    if one.terms.protocol != "seamless":
        return one
    return replace(one, terms=replace(one.terms, announces_tickets=True))


def _new_problems(one: DesiredOperator) -> Iterable[str]:
    if one.secret is None:
        return ["it is new, so it needs a secret_file"]
    try:
        check_new_operator(NewOperator(**_terms(one.terms), secret=one.secret, api_key=one.api_key))
    except OperatorInvalid as refusal:
        return refusal.problems
    return []


def _problems(one: DesiredOperator, row: Row[Any], *, vault: Vault, now: datetime) -> Iterable[str]:
    try:
        check_terms(one.terms)
    except OperatorInvalid as refusal:
        yield from refusal.problems
    if one.terms.protocol != row.protocol:
        yield f"its protocol is {row.protocol} and stays so: its tickets were written for it"
    if one.secret is not None and one.secret not in _secrets(row, vault, now):
        yield (
            "its secret is another one than in secret_file; exchange it with"
            f" `slipway operators rotate-secret {row.code}`, or mend the file"
        )
    if one.api_key is not None and hash_key(one.api_key) not in row.key_hashes:
        yield (
            "no publisher of its own has the key in api_key_file; add one with `slipway publishers"
            f" add NAME --operator {row.code}`, or mend the file"
        )


def _secrets(row: Row[Any], vault: Vault, now: datetime) -> tuple[str, ...]:
    """Those that are in use; none where no key opens them."""
    sealed = EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)
    try:
        return verifying_secrets(sealed, vault, now)
    except DecryptionFailed:
        return ()


def _doubles(declared: Sequence[DesiredOperator]) -> list[str]:
    codes = [one.terms.code for one in declared]
    return [f"{code}: declared {codes.count(code)} times" for code in sorted({*codes})
            if codes.count(code) > 1]  # fmt: skip


def _terms(terms: OperatorTerms) -> dict[str, Any]:
    return {one.name: getattr(terms, one.name) for one in fields(OperatorTerms)}

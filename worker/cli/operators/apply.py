"""Makes the operators what a file says, or only says what that would change."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from models.operators.desired import DesiredChange, Plan, Planned, carry_out, make_plan
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.operators.file_format import read_document
from worker.cli.operators.format import in_words
from worker.cli.operators.warnings import doubts
from worker.cli.output import remark, show_json

_SIGNS: Mapping[DesiredChange, str] = {
    DesiredChange.ADD: "+",
    DesiredChange.CHANGE: "~",
    DesiredChange.NOTHING: "=",
}


def apply_file(path: Path, *, dry_run: bool, who: str, why: str, as_json: bool) -> None:
    """Do all that the file asks for in one transaction, or nothing; print what differed."""
    settings = read_settings()
    declared = read_document(path)
    vault = Vault.with_keys(settings.secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        plan = make_plan(connection, declared, vault=vault, now=now)
        if not dry_run:
            carry_out(connection, plan, vault=vault, now=now, person=Person(who, why))
    for planned in plan.steps:
        if planned.step is not DesiredChange.NOTHING:
            for doubt in doubts(planned.declared.terms, settings):
                remark(f"warning: {planned.code}: {doubt}")
    if as_json:
        show_json(_document(plan, applied=not dry_run))
        return
    for line in _lines(plan):
        typer.echo(line)
    if dry_run:
        remark("a dry run: nothing was changed")


def _lines(plan: Plan) -> Iterator[str]:
    for planned in plan.steps:
        yield f"{_SIGNS[planned.step]} {planned.code}{_added(planned)}"
        for name, (before, after) in planned.differences.items():
            yield f"    {name}: {in_words(before)} -> {in_words(after)}"
    if plan.unlisted:
        yield f"not in the file, left as they are: {', '.join(plan.unlisted)}"


def _added(planned: Planned) -> str:
    terms = planned.declared.terms
    return f" ({terms.protocol}, {terms.url})" if planned.step is DesiredChange.ADD else ""


def _document(plan: Plan, *, applied: bool) -> dict[str, object]:
    steps = [
        {
            "code": planned.code,
            "step": planned.step,
            "differences": {
                name: {"from": before, "to": after}
                for name, (before, after) in planned.differences.items()
            },
        }
        for planned in plan.steps
    ]
    return {"applied": applied, "operators": steps, "unlisted": plan.unlisted}

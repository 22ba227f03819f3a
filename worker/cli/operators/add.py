"""Adds an operator as typed: reads the files, tells what is doubtful."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import typer

from models.operators import NewOperator, add_operator, check_new_operator, secret_warnings
from models.operators.interventions import Person
from models.platform.encryption import Vault, new_secret
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.operators.warnings import doubts
from worker.cli.output import remark, show_json
from worker.cli.secret_file import read_line


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """The options of `slipway operators add`; secrets still in their files."""

    code: str
    url: str
    protocol: str
    close_delay: timedelta
    secret_file: Path | None
    api_key_file: Path | None
    agent: str | None
    sign_calls: bool
    announces_tickets: bool
    rate: float | None
    in_flight: int
    timezone: str
    lottery_ticket: str


def add_from_form(form: OperatorOptions, *, who: str, why: str, as_json: bool) -> None:
    """Add the operator, print what was added and, once, a secret that was made here."""
    settings = read_settings()
    made = new_secret() if form.secret_file is None else None
    new = NewOperator(
        code=form.code,
        url=form.url,
        protocol=str(form.protocol),
        secret=made or _given(form.secret_file, option="--secret-file"),
        api_key=_given(form.api_key_file, option="--api-key-file") or None,
        agent=form.agent,
        sign_calls=form.sign_calls,
        close_delay=form.close_delay,
        announces_tickets=form.announces_tickets,
        rate=form.rate,
        in_flight=form.in_flight,
        timezone=form.timezone,
        lottery_ticket=str(form.lottery_ticket),
    )
    check_new_operator(new)  # before the host is asked for: it may be no host at all
    warnings = [*doubts(new, settings), *secret_warnings(new.secret)]
    vault = Vault.with_keys(settings.secret_key)
    with transaction() as connection:
        added = add_operator(connection, new, vault=vault, person=Person(who, why))
    for warning in warnings:
        remark(f"warning: {warning}")
    if as_json:
        show_json(
            {"code": new.code, "publisher": added.publisher, "secret": made, "warnings": warnings}
        )
        return
    typer.echo(f"operator {new.code} added")
    if made is not None:
        typer.echo(f"its secret, shown this once: {made}")


def _given(path: Path | None, *, option: str) -> str:
    return "" if path is None else read_line(path, option=option)

"""Adds and changes operators, and disables and enables their deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import typer

from models.access.values import NO_ACCESS
from models.operators import (
    NewOperator,
    OperatorPatch,
    add_operator,
    change_operator,
    check_new_operator,
    disable_operator,
    enable_operator,
    secret_warnings,
)
from models.operators.access import set_access
from models.operators.interventions import Person
from models.operators.words import format_term
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault, new_secret
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.operators.access_file import read_access
from worker.cli.output import remark, show_json
from worker.cli.secret_file import read_line
from worker.doctor.terms import access_warnings, warnings_about

_ACCESS: Final = "--access-file"


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
    delivery: Mapping[str, Any]
    access_file: Path | None = None


def add(options: OperatorOptions, *, who: str, why: str, as_json: bool) -> None:
    """Add the operator and print what was added. A secret that was made here is printed once."""
    settings = read_settings()
    made = new_secret() if options.secret_file is None else None
    new = NewOperator(
        code=options.code,
        url=options.url,
        protocol=str(options.protocol),
        secret=made or _read(options.secret_file, option="--secret-file"),
        api_key=_read(options.api_key_file, option="--api-key-file") or None,
        agent=options.agent,
        sign_calls=options.sign_calls,
        close_delay=options.close_delay,
        announces_tickets=options.announces_tickets,
        rate=options.rate,
        in_flight=options.in_flight,
        timezone=options.timezone,
        lottery_ticket=str(options.lottery_ticket),
        **options.delivery,
    )
    check_new_operator(new)  # before the host is resolved: it may be no host at all
    access = NO_ACCESS if options.access_file is None else read_access(options.access_file, _ACCESS)
    vault, person = Vault.with_keys(settings.secret_key), Person(who, why)
    with transaction() as connection:
        added = add_operator(connection, new, vault=vault, person=person)
        now = DatabaseClock().now(connection)
        set_access(connection, new.code, access, now=now, vault=vault, person=person)
    warnings = [
        *warnings_about(new, settings),
        *access_warnings(access, settings),
        *secret_warnings(new.secret),
    ]
    for warning in warnings:
        remark(f"warning: {warning}")
    if as_json:
        show_json(
            {"code": new.code, "publisher": added.publisher, "secret": made, "warnings": warnings}
        )
        return
    typer.echo(f"operator {new.code} added")
    if made is not None:
        typer.echo(f"its secret, shown only once: {made}")


def change(code: str, patch: Mapping[str, Any], *, who: str, why: str, as_json: bool) -> None:
    """Change the fields in *patch*, and print what is different now."""
    if not patch:
        raise WrongUsage("no changes given; slipway operators set --help lists the options")
    with transaction() as connection:
        changed = change_operator(
            connection, code, cast("OperatorPatch", patch), person=Person(who, why)
        )
    warnings = warnings_about(changed.terms, read_settings()) if changed.before else []
    for warning in warnings:
        remark(f"warning: {warning}")
    differences = {
        name: {"from": before, "to": getattr(changed.terms, name)}
        for name, before in changed.before.items()
    }
    if as_json:
        show_json({"code": code, "changed": differences, "warnings": warnings})
        return
    for name, values in differences.items():
        option = name.replace("_", "-")
        typer.echo(f"{option}: {format_term(values['from'])} -> {format_term(values['to'])}")
    if not differences:
        typer.echo(f"operator {code} is unchanged: it has these values already")


def disable(code: str, *, who: str, why: str, as_json: bool) -> None:
    """Hold the operator's notices."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = disable_operator(connection, code, now=now, person=Person(who, why))
    if as_json:
        show_json({"code": code, "disabled": True, "changed": changed})
        return
    result = "disabled: its notices are held" if changed else "disabled already; nothing changed"
    typer.echo(f"operator {code} is {result}")


def enable(code: str, *, who: str, why: str, as_json: bool) -> None:
    """Deliver the operator's notices again."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = enable_operator(connection, code, now=now, person=Person(who, why))
    if as_json:
        show_json({"code": code, "disabled": False, "changed": changed})
        return
    result = "enabled: its notices are sent" if changed else "enabled already; nothing changed"
    typer.echo(f"operator {code} is {result}")


def _read(path: Path | None, *, option: str) -> str:
    return "" if path is None else read_line(path, option=option)

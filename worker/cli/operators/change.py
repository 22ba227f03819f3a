"""Changes an operator as typed, holds its notices, and lets them go."""

from collections.abc import Mapping
from typing import Any, cast

import typer

from models.operators import OperatorPatch, change_operator, disable_operator, enable_operator
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.operators.format import in_words
from worker.cli.operators.warnings import doubts
from worker.cli.output import remark, show_json


def change_from_wishes(
    code: str, wishes: Mapping[str, Any], *, who: str, why: str, as_json: bool
) -> None:
    """Change what *wishes* name, and print what differs now."""
    if not wishes:
        raise WrongUsage("say what shall be different: slipway operators set --help lists it")
    with transaction() as connection:
        changed = change_operator(
            connection, code, cast("OperatorPatch", wishes), person=Person(who, why)
        )
    warnings = doubts(changed.terms, read_settings()) if changed.before else []
    for warning in warnings:
        remark(f"warning: {warning}")
    differing = {
        name: {"from": before, "to": getattr(changed.terms, name)}
        for name, before in changed.before.items()
    }
    if as_json:
        show_json({"code": code, "changed": differing, "warnings": warnings})
        return
    for name, values in differing.items():
        option = name.replace("_", "-")
        typer.echo(f"{option}: {in_words(values['from'])} -> {in_words(values['to'])}")
    if not differing:
        typer.echo(f"operator {code} is like that already; nothing changed")


def hold(code: str, *, who: str, why: str, as_json: bool) -> None:
    """Hold the operator's notices."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = disable_operator(connection, code, now=now, person=Person(who, why))
    if as_json:
        show_json({"code": code, "disabled": True, "changed": changed})
        return
    told = "disabled: its notices are held" if changed else "disabled already; nothing changed"
    typer.echo(f"operator {code} is {told}")


def let_go(code: str, *, who: str, why: str, as_json: bool) -> None:
    """Let the operator's notices go."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = enable_operator(connection, code, now=now, person=Person(who, why))
    if as_json:
        show_json({"code": code, "disabled": False, "changed": changed})
        return
    told = "enabled: its notices go out" if changed else "enabled already; nothing changed"
    typer.echo(f"operator {code} is {told}")

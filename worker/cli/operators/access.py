"""Shows and sets what the calls to a partner carry for the gateway in front of it."""

from pathlib import Path
from typing import Any

import typer

from models.access.facts import describe_access
from models.access.values import NO_ACCESS
from models.operators.access import AccessStatus, access_status, set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.platform.typed_times import When
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.operators.access_file import read_access
from worker.cli.output import moment, remark, show_json, show_table
from worker.doctor.terms import access_warnings


def show(code: str, *, as_json: bool) -> None:
    """Print the access, without any secret."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        status = access_status(connection, code, now=now)
    if as_json:
        show_json(_as_json(code, status))
        return
    if not status.facts and status.switch_at is None:
        remark(f"operator {code}: its calls carry nothing but what the protocol has")
        return
    show_table(("access", ""), describe_access(status.facts))
    if status.switch_at is not None:
        typer.echo(f"\nfrom {moment(status.switch_at)} on:")
        show_table(("access", ""), describe_access(status.next_facts or {}))


def change(
    code: str,
    *,
    file: Path | None,
    clear: bool,
    switch_at: When | None,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Replace the access by what *file* says, or remove it."""
    if clear == (file is not None):
        raise WrongUsage("give either --file or --clear")
    access = NO_ACCESS if file is None else read_access(file, "--file")
    settings = read_settings()
    vault = Vault.with_keys(settings.secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = set_access(
            connection,
            code,
            access,
            now=now,
            vault=vault,
            person=Person(who, why),
            switch_at=None if switch_at is None else switch_at.time(now),
        )
        status = access_status(connection, code, now=now)
    warnings = access_warnings(access, settings) if changed else []
    for warning in warnings:
        remark(f"warning: {warning}")
    if as_json:
        show_json({"changed": changed, **_as_json(code, status), "warnings": warnings})
        return
    if not changed:
        typer.echo(f"operator {code} is unchanged: it has this access already")
    elif status.switch_at is not None:
        typer.echo(f"operator {code}: the new access is used from {moment(status.switch_at)}")
    else:
        typer.echo(f"operator {code}: the new access is used within a second")
    remark(f"try it: slipway operators ping {code}")


def _as_json(code: str, status: AccessStatus) -> dict[str, Any]:
    return {
        "code": code,
        "access": status.facts,
        "next": status.next_facts,
        "switch_at": status.switch_at,
    }

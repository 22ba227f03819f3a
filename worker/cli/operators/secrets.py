"""Exchanges an operator's secret, and seals all secrets anew."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import typer

from models.operators import (
    InterruptedRotation,
    check_secret,
    reencrypt_secrets,
    rotate_secret,
    secret_warnings,
)
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault, new_secret
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.options import When
from worker.cli.output import moment, remark, show_json
from worker.cli.secret_file import read_line

FORGET_AFTER: Final = timedelta(hours=24)  # of the switch, unless somebody says otherwise

_OVERTAKEN: Final = {
    InterruptedRotation.NEVER_SIGNED: (
        "an exchange was going on: its new secret is dropped, it never signed"
    ),
    InterruptedRotation.OLD_FORGOTTEN: (
        "an exchange was going on: its old secret is accepted no longer"
    ),
}


def rotate(
    code: str,
    *,
    secret_file: Path | None,
    switch_at: When,
    forget_at: When | None,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Exchange the secret; print when what happens and, once, a secret that was made here."""
    made = new_secret() if secret_file is None else None
    secret = made or read_line(_named(secret_file), option="--secret-file")
    check_secret(secret)
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        switch = switch_at.moment(now)
        forget = switch + FORGET_AFTER if forget_at is None else forget_at.moment(now)
        overtaken = rotate_secret(
            connection,
            code,
            secret,
            switch_at=switch,
            forget_at=forget,
            now=now,
            vault=vault,
            person=Person(who, why),
        )
    warnings = secret_warnings(secret)
    if overtaken is not None:
        warnings.append(_OVERTAKEN[overtaken])
    for warning in warnings:
        remark(f"warning: {warning}")
    if as_json:
        told = {"code": code, "secret": made, "switch_at": switch, "forget_at": forget}
        show_json(told | {"warnings": warnings})
        return
    typer.echo(f"operator {code}: the new secret signs from {moment(switch)} on")
    typer.echo(f"the old one is accepted until {moment(forget)}")
    if made is not None:
        typer.echo(f"the new secret, shown this once: {made}")


def reseal_all(*, who: str, why: str, as_json: bool) -> None:
    """Seal all secrets with the first key. Raises Failed when some cannot be opened."""
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        done = reencrypt_secrets(connection, vault=vault, person=Person(who, why))
    if as_json:
        show_json(done)
    else:
        typer.echo(f"the secrets of {done.operators} operators are sealed with the first key")
    if done.unopened:
        raise Failed(
            f"no key opens the secrets of {', '.join(done.unopened)}; put the key that sealed them"
            " behind the others in SLIPWAY_SECRET_KEY, or give them new ones with"
            " `slipway operators rotate-secret`"
        )


def _named(secret_file: Path | None) -> Path:
    assert secret_file is not None, "the caller asked"
    return secret_file

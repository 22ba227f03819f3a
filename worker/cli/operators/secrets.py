"""Rotates an operator's secret, and encrypts all secrets again with a new key."""

from pathlib import Path

import typer

from models.operators import (
    check_secret,
    reencrypt_secrets,
    rotate_secret,
    secret_warnings,
)
from models.operators.interventions import Person
from models.operators.rotation import FORGET_AFTER, INTERRUPTED
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault, new_secret
from models.platform.typed_times import When
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import moment, remark, show_json
from worker.cli.secret_file import read_line


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
    """Rotate the secret and print the schedule. A secret that was made here is printed once."""
    made = new_secret() if secret_file is None else None
    secret = made or read_line(_required(secret_file), option="--secret-file")
    check_secret(secret)
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        switch = switch_at.time(now)
        forget = switch + FORGET_AFTER if forget_at is None else forget_at.time(now)
        interrupted = rotate_secret(
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
    if interrupted is not None:
        warnings.append(INTERRUPTED[interrupted])
    for warning in warnings:
        remark(f"warning: {warning}")
    if as_json:
        show_json(
            {
                "code": code,
                "secret": made,
                "switch_at": switch,
                "forget_at": forget,
                "warnings": warnings,
            }
        )
        return
    typer.echo(f"operator {code}: the new secret signs from {moment(switch)}")
    typer.echo(f"the old secret is accepted until {moment(forget)}")
    if made is not None:
        typer.echo(f"the new secret, shown only once: {made}")


def reencrypt_all(*, who: str, why: str, as_json: bool) -> None:
    """Encrypt all secrets with the first key. Raises Failed when some cannot be decrypted."""
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        done = reencrypt_secrets(connection, vault=vault, person=Person(who, why))
    if as_json:
        show_json(done)
    else:
        typer.echo(f"the secrets of {done.operators} operators are encrypted with the first key")
    if done.unopened:
        raise Failed(
            f"no key decrypts the secrets of {', '.join(done.unopened)}; put the key that encrypted"
            " them behind the others in SLIPWAY_SECRET_KEY, or give them new ones with"
            " `slipway operators rotate-secret`"
        )


def _required(secret_file: Path | None) -> Path:
    assert secret_file is not None, "made here otherwise"
    return secret_file

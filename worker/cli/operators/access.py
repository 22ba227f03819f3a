"""Shows and sets what the calls to a partner carry for the gateway in front of it."""

from pathlib import Path
from typing import Any

import typer
import yaml

from models.access.facts import describe_access
from models.access.values import NO_ACCESS, Access
from models.operators.access import AccessStatus, access_status, check_access, set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.platform.typed_times import When
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.operators.access_file import access_from
from worker.cli.output import moment, remark, show_json, show_table
from worker.cli.secret_file import read_text


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
    access = NO_ACCESS if file is None else read_access(file)
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        check_access(access, now=now)
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
    if as_json:
        show_json({"changed": changed, **_as_json(code, status)})
        return
    if not changed:
        typer.echo(f"operator {code} is unchanged: it has this access already")
    elif status.switch_at is not None:
        typer.echo(f"operator {code}: the new access is used from {moment(status.switch_at)}")
    else:
        typer.echo(f"operator {code}: the new access is used within a second")
    remark(f"try it: slipway operators ping {code}")


def read_access(path: Path) -> Access:
    """Read the access in the YAML file at *path*. Raises WrongUsage."""
    try:
        document: Any = yaml.safe_load(read_text(path, option="--file"))
    except yaml.YAMLError as refusal:
        problem = getattr(refusal, "problem", None) or "it cannot be read"
        raise WrongUsage(f"--file {path} is not YAML: {problem}") from None
    return access_from(document, folder=path.parent, where=f"--file {path}:")


def _as_json(code: str, status: AccessStatus) -> dict[str, Any]:
    return {
        "code": code,
        "access": status.facts,
        "next": status.next_facts,
        "switch_at": status.switch_at,
    }

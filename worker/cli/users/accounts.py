"""Adds, shows and changes users, and ends their sessions."""

from pathlib import Path

import typer

from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.settings.settings import read_settings
from models.users.accounts import (
    User,
    add_user,
    change_user,
    disable_user,
    enable_user,
    find_user,
    list_users,
    sign_out_user,
)
from models.users.sessions import SessionLimits, list_sessions
from models.vocabulary import Role
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.output import moment, remark, show_json, show_table
from worker.cli.users.passwords import read_password


def add(
    name: str,
    *,
    role: Role,
    password_file: Path | None,
    external: str | None,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Add a user."""
    if external is not None and password_file is not None:
        raise WrongUsage("pass either --external or --password-file")
    password = read_password(password_file) if external is None else None
    with transaction() as connection:
        user = add_user(
            connection,
            name,
            role=role,
            password=password,
            source=external or "local",
            person=Person(who, why),
            now=DatabaseClock().now(connection),
        )
    if as_json:
        show_json(user)
        return
    typer.echo(f"user {user.name} added as {user.role}")


def show_users(*, as_json: bool) -> None:
    """Print all users."""
    with transaction() as connection:
        users = list_users(connection)
    if as_json:
        show_json(users)
        return
    if not users:
        remark("no user yet; add one with `slipway users add`")
        return
    columns = ("name", "role", "signs in with", "since", "last sign-in", "disabled")
    show_table(columns, [_row(user) for user in users])


def change(
    name: str,
    *,
    role: Role | None,
    ask: bool,
    password_file: Path | None,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Change a user's role or password, and print what is different now."""
    if ask and password_file is not None:
        raise WrongUsage("pass either --password or --password-file")
    new_password = ask or password_file is not None
    if role is None and not new_password:
        raise WrongUsage("no changes given; pass --role, --password or --password-file")
    password = read_password(password_file) if new_password else None
    with transaction() as connection:
        changed = change_user(
            connection,
            name,
            role=role,
            password=password,
            person=Person(who, why),
            now=DatabaseClock().now(connection),
        )
    if as_json:
        show_json({"name": name, "changed": changed})
        return
    if not changed:
        typer.echo(f"user {name} is unchanged: the role is {role} already")
    if "role" in changed:
        typer.echo(f"user {name} is {role} now")
    if "password_replaced" in changed:
        typer.echo(f"user {name} has a new password; sessions ended: {changed['sessions_ended']}")


def disable(name: str, *, who: str, why: str, as_json: bool) -> None:
    """Disable a user."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = disable_user(connection, name, person=Person(who, why), now=now)
    if as_json:
        show_json({"name": name, "disabled": True, "changed": changed})
        return
    result = "disabled, and signed out" if changed else "disabled already; nothing changed"
    typer.echo(f"user {name} is {result}")


def enable(name: str, *, who: str, why: str, as_json: bool) -> None:
    """Enable a user."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        changed = enable_user(connection, name, person=Person(who, why), now=now)
    if as_json:
        show_json({"name": name, "disabled": False, "changed": changed})
        return
    result = "enabled, and may sign in" if changed else "enabled already; nothing changed"
    typer.echo(f"user {name} is {result}")


def show_sessions(name: str, *, as_json: bool) -> None:
    """Print a user's sessions."""
    settings = read_settings()
    limits = SessionLimits(settings.console_session_max, settings.console_session_idle)
    with transaction() as connection:
        user = find_user(connection, name)
        now = DatabaseClock().now(connection)
        lines = list_sessions(connection, user.id, limits=limits, now=now)
    if as_json:
        show_json(lines)
        return
    if not lines:
        remark(f"user {user.name} is not signed in")
        return
    show_table(
        ("since", "last request", "ends", "from", "with"),
        [
            (moment(s.started_at), moment(s.seen_at), moment(s.ends_at), s.remote, s.client)
            for s in lines
        ],
    )


def sign_out(name: str, *, who: str, why: str, as_json: bool) -> None:
    """End all sessions of a user."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        ended = sign_out_user(connection, name, person=Person(who, why), now=now)
    if as_json:
        show_json({"name": name, "sessions_ended": ended})
        return
    typer.echo(f"user {name} is signed out; sessions ended: {ended}")


def _row(user: User) -> tuple[str, ...]:
    return (
        user.name,
        user.role,
        "password" if user.source == "local" else user.source,
        moment(user.created_at),
        moment(user.signed_in_at),
        moment(user.disabled_at),
    )

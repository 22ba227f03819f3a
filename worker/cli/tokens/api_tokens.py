"""Adds, shows and revokes API tokens."""

from datetime import timedelta

import typer

from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.users.tokens import TokenLine, add_token, list_tokens, revoke_token
from models.vocabulary import Role
from worker.cli.database import transaction
from worker.cli.errors import WrongUsage
from worker.cli.output import moment, remark, show_json, show_table


def add(
    name: str, *, role: Role, expires: timedelta | None, who: str, why: str, as_json: bool
) -> None:
    """Add a token and print it, once."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        try:
            expires_at = None if expires is None else now + expires
        except OverflowError:
            raise WrongUsage("--expires is beyond the calendar; leave it out for no end") from None
        new = add_token(
            connection, name, role=role, expires_at=expires_at, person=Person(who, why), now=now
        )
    if as_json:
        show_json(new)
        return
    if new.expires_at is None:
        remark("warning: without --expires the token is accepted until it is revoked")
    typer.echo(f"token {new.name} added as {new.role}; expires: {moment(new.expires_at)}")
    typer.echo(f"shown only once: {new.token}")


def show_tokens(*, as_json: bool) -> None:
    """Print all tokens."""
    with transaction() as connection:
        lines = list_tokens(connection)
    if as_json:
        show_json(lines)
        return
    if not lines:
        remark("no token yet; add one with `slipway tokens add`")
        return
    columns = ("name", "role", "begins with", "since", "expires", "last use", "revoked")
    show_table(columns, [_row(line) for line in lines])


def revoke(name: str, *, who: str, why: str, as_json: bool) -> None:
    """Revoke a token."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        revoke_token(connection, name, person=Person(who, why), now=now)
    if as_json:
        show_json({"name": name, "revoked": True})
        return
    typer.echo(f"token {name} revoked")


def _row(line: TokenLine) -> tuple[str, ...]:
    return (
        line.name,
        line.role,
        line.prefix,
        moment(line.created_at),
        moment(line.expires_at),
        moment(line.used_at),
        moment(line.revoked_at),
    )

"""Adds, shows and revokes the keys of publishers."""

from collections.abc import Sequence

import typer

from models.operators.interventions import Person
from models.publishers.keys import (
    PublisherExists,
    PublisherInvalid,
    PublisherLine,
    PublisherNotFound,
    PublisherOperatorNotFound,
    add_publisher,
    list_publishers,
    revoke_publisher,
)
from worker.cli.database import transaction
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import moment, remark, show_json, show_table


def add_key(
    name: str, operators: Sequence[str], *, read_only: bool, who: str, why: str, as_json: bool
) -> None:
    """Add a publisher and print its key, once."""
    try:
        with transaction() as connection:
            key = add_publisher(
                connection,
                name,
                operators=operators,
                read_only=read_only,
                person=Person(who, why),
            )
    except PublisherInvalid as refusal:
        raise WrongUsage(str(refusal)) from None
    except PublisherOperatorNotFound as refusal:
        raise WrongUsage(f"{refusal}; see `slipway operators list`") from None
    except PublisherExists as refusal:
        raise Failed(str(refusal)) from None
    if as_json:
        show_json(
            {"name": name, "operators": sorted(set(operators)), "read_only": read_only, "key": key}
        )
        return
    if not operators:
        remark("warning: without --operator this key's events may name any operator")
    typer.echo(f"publisher {name} added")
    typer.echo(f"its key, shown only once: {key}")


def show_publishers(*, as_json: bool) -> None:
    """Print all publishers."""
    with transaction() as connection:
        lines = list_publishers(connection)
    if as_json:
        show_json(lines)
        return
    if not lines:
        remark("no publisher yet; add one with `slipway publishers add`")
        return
    columns = ("name", "operators", "may", "since", "revoked")
    show_table(columns, [_row(line) for line in lines])


def revoke_key(name: str, *, who: str, why: str, as_json: bool) -> None:
    """Revoke a publisher's key."""
    try:
        with transaction() as connection:
            revoke_publisher(connection, name, person=Person(who, why))
    except PublisherNotFound as refusal:
        raise Failed(f"{refusal}; see `slipway publishers list`") from None
    if as_json:
        show_json({"name": name, "revoked": True})
        return
    typer.echo(f"publisher {name} key revoked")


def _row(line: PublisherLine) -> tuple[str, ...]:
    return (
        line.name,
        ", ".join(line.operators) or "any",
        "read" if line.read_only else "read, publish",
        moment(line.created_at),
        moment(line.revoked_at),
    )

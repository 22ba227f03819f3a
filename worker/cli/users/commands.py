"""`slipway users`: who may sign in to the console."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.vocabulary import Role
from worker.cli.help_pages import command_group
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name
from worker.cli.users import accounts

app = command_group("Manage users: the people who sign in to the console.")


class Source(StrEnum):
    """Systems that identify people for us."""

    OIDC = "oidc"
    PROXY = "proxy"


ROLE_HELP = "What the user may do: each role includes the ones before it."

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name, in any case.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password from FILE, which holds one line; - reads it from stdin.",
        show_default="asked for twice",
    ),
]
NewPasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read a new password from FILE, which holds one line; - reads it from stdin.",
    ),
]
External = Annotated[
    Source | None,
    typer.Option(
        "--external",
        help="No password here: the user signs in with OpenID Connect, or at a trusted proxy.",
    ),
]


@app.command(
    "add",
    epilog=(
        "Examples: slipway users add anna --role support --why 'new in the team'"
        "    or: slipway users add ben --role viewer --external oidc"
    ),
)
def add(
    name: Name,
    *,
    role: Annotated[Role, typer.Option("--role", help=ROLE_HELP)],
    password_file: PasswordFile = None,
    external: External = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Add a user. The password has 12 to 1,000 characters; only its hash is stored."""
    accounts.add(
        name,
        role=role,
        password_file=password_file,
        external=None if external is None else external.value,
        who=person_name(by),
        why=why,
        as_json=as_json,
    )


@app.command("list", epilog="Example: slipway users list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the users, including disabled ones, with their last sign-in."""
    accounts.show_users(as_json=as_json)


@app.command(
    "set",
    epilog=(
        "Examples: slipway users set anna --role operations --why 'on call from May'"
        "    or: slipway users set anna --password --why 'forgotten'"
    ),
)
def change(
    name: Name,
    *,
    role: Annotated[Role | None, typer.Option("--role", help=ROLE_HELP)] = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a new password, twice.")
    ] = False,
    password_file: NewPasswordFile = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Change a user's role or password, or both.

    A role counts from the user's next request. A new password ends the user's sessions, and lifts a
    block after too many failed sign-ins.
    """
    accounts.change(
        name,
        role=role,
        ask=password,
        password_file=password_file,
        who=person_name(by),
        why=why,
        as_json=as_json,
    )


@app.command("disable", epilog="Example: slipway users disable anna --why 'has left'")
def disable(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Let a user sign in no more, and end all sessions. The account stays, for the records."""
    accounts.disable(name, who=person_name(by), why=why, as_json=as_json)


@app.command("enable", epilog="Example: slipway users enable anna --why 'is back'")
def enable(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Let a disabled user sign in again, with the same role and password."""
    accounts.enable(name, who=person_name(by), why=why, as_json=as_json)


@app.command("sessions", epilog="Example: slipway users sessions anna")
def sessions(name: Name, *, as_json: AsJson = False) -> None:
    """List where a user is signed in, and until when."""
    accounts.show_sessions(name, as_json=as_json)


@app.command("sign-out", epilog="Example: slipway users sign-out anna --why 'laptop lost'")
def sign_out(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """End all sessions of a user, who may sign in again."""
    accounts.sign_out(name, who=person_name(by), why=why, as_json=as_json)

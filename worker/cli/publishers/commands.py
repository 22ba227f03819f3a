"""`slipway publishers`: keys for publishing and reading over HTTP."""

from typing import Annotated

import typer

from worker.cli.help_pages import command_group
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name
from worker.cli.publishers import keys

app = command_group("Manage keys for the gateway's /events and /tickets.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The publisher's name.")]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="CODE",
        help="An operator its events may name; may be repeated.",
        show_default="any",
    ),
]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="The key may read, but not publish.")]


@app.command(
    "add",
    epilog="Example: slipway publishers add odds-backend --operator acme --why 'new backend'",
)
def add(
    name: Name,
    *,
    operator: Operators = None,
    read_only: ReadOnly = False,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown only once; its hash is stored."""
    who = person_name(by)
    keys.add_key(name, operator or [], read_only=read_only, who=who, why=why, as_json=as_json)


@app.command("list", epilog="Example: slipway publishers list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the publishers, including revoked ones. No key is shown: only hashes are stored."""
    keys.show_publishers(as_json=as_json)


@app.command("revoke", epilog="Example: slipway publishers revoke odds-backend --why 'key leaked'")
def revoke(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Revoke a publisher's key, with immediate effect. Its name cannot be used again."""
    keys.revoke_key(name, who=person_name(by), why=why, as_json=as_json)

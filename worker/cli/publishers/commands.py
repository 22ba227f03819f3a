"""`slipway publishers`: who may publish and ask over HTTP."""

from typing import Annotated

import typer

from worker.cli.help_pages import command_group
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name
from worker.cli.publishers import keys

app = command_group("Keys for the gateway's /events and /tickets.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="CODE",
        help="An operator it may name; again for more.",
        show_default="any",
    ),
]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="It may ask, and not publish.")]


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
    """Make a key. It is shown once; only its hash is kept."""
    who = person_name(by)
    keys.add_key(name, operator or [], read_only=read_only, who=who, why=why, as_json=as_json)


@app.command("list", epilog="Example: slipway publishers list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the publishers, revoked ones too. No key is shown: nobody has them any more."""
    keys.show_publishers(as_json=as_json)


@app.command("revoke", epilog="Example: slipway publishers revoke odds-backend --why 'key leaked'")
def revoke(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Make a publisher's key open nothing any more, at once. Its name stays taken."""
    keys.revoke_key(name, who=person_name(by), why=why, as_json=as_json)

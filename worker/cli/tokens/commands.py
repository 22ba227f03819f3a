"""`slipway tokens`: programs that may use the operations API."""

from datetime import timedelta
from typing import Annotated

import typer

from models.vocabulary import Role
from worker.cli.help_pages import command_group
from worker.cli.options import NO_REASON, AsJson, By, Why, duration, person_name
from worker.cli.tokens import api_tokens

app = command_group("Manage tokens: programs that use the operations API.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")]


@app.command(
    "add",
    epilog="Example: slipway tokens add deploy-check --role viewer --expires 90d --why 'pipeline'",
)
def add(
    name: Name,
    *,
    role: Annotated[
        Role,
        typer.Option("--role", help="What it may do: each role includes the ones before it."),
    ],
    expires: Annotated[
        timedelta | None,
        typer.Option(
            "--expires",
            parser=duration,
            metavar="DURATION",
            help="It is refused after this long: 90d.",
            show_default="never",
        ),
    ] = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown only once; its hash is stored."""
    api_tokens.add(name, role=role, expires=expires, who=person_name(by), why=why, as_json=as_json)


@app.command("list", epilog="Example: slipway tokens list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the tokens, including revoked ones, with their last use and how each begins."""
    api_tokens.show_tokens(as_json=as_json)


@app.command("revoke", epilog="Example: slipway tokens revoke deploy-check --why 'it leaked'")
def revoke(name: Name, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Revoke a token, with immediate effect. Its name cannot be used again."""
    api_tokens.revoke(name, who=person_name(by), why=why, as_json=as_json)

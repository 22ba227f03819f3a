"""`slipway operators`: the partners."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import NO_REASON, AsJson, By, Why, duration, per_second, person_name

app = typer.Typer(help="The operators, our partners.", no_args_is_help=True)


class Protocol(StrEnum):
    """How a partner is told."""

    PAM = "pam"
    SEAMLESS = "seamless"


class LotteryTicket(StrEnum):
    """What makes one ticket of a lottery's tickets and draws."""

    TICKET = "ticket"
    TICKET_AND_DRAW = "ticket+draw"


Code = Annotated[str, typer.Argument(metavar="CODE", help="Its name in events and notices.")]
Url = Annotated[str, typer.Option(help="Where its notices are sent.")]
HowTold = Annotated[Protocol, typer.Option("--protocol", help="How it is told.")]
CloseDelay = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="From the partner's success to ticket_closed."
    ),
]
SecretFile = Annotated[
    Path | None, typer.Option(help="The secret that signs; without it one is made and shown once.")
]
ApiKeyFile = Annotated[
    Path | None, typer.Option(help="A publisher key that may speak for this operator alone.")
]
Agent = Annotated[str | None, typer.Option(help="The seamless wallet's name for us.")]
AnnouncesTickets = Annotated[
    bool,
    typer.Option(
        "--announces-tickets",
        help="Results wait for their ticket instead of opening it (seamless: always).",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        parser=per_second, metavar="RATE", help="Most notices: 50/s.", show_default="no limit"
    ),
]
InFlight = Annotated[int, typer.Option(help="Most requests at once.")]
Timezone = Annotated[str, typer.Option(help="Its time zone, like Europe/Malta.")]
OneLotteryTicket = Annotated[
    LotteryTicket, typer.Option("--lottery-ticket", help="What is one ticket in its lottery feed.")
]


@app.command(
    "add",
    epilog=(
        "Example: slipway operators add acme --url https://pam.acme.example/slipway --protocol pam"
        " --why 'contract of 1 November'"
    ),
)
def add(  # noqa: PLR0913 - one parameter for each option of the command
    code: Code,
    *,
    url: Url,
    protocol: HowTold,
    close_delay: CloseDelay = "24h",  # type: ignore[assignment]  # Typer parses a default's text
    secret_file: SecretFile = None,
    api_key_file: ApiKeyFile = None,
    agent: Agent = None,
    announces_tickets: AnnouncesTickets = False,
    rate: Rate = None,
    in_flight: InFlight = 32,
    timezone: Timezone = "UTC",
    lottery_ticket: OneLotteryTicket = LotteryTicket.TICKET,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Add a partner. Its secret is stored encrypted and never shown again."""
    from worker.cli.new_operator import Form, add_from_form  # noqa: PLC0415 - as worker.cli says

    form = Form(
        code=code,
        url=url,
        protocol=protocol,
        close_delay=close_delay,
        secret_file=secret_file,
        api_key_file=api_key_file,
        agent=agent,
        announces_tickets=announces_tickets,
        rate=rate,
        in_flight=in_flight,
        timezone=timezone,
        lottery_ticket=lottery_ticket,
    )
    add_from_form(form, who=person_name(by), why=why, as_json=as_json)


@app.command("list", epilog="Example: slipway operators list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the operators with their settings, without any secret."""
    from worker.cli.operator_list import show_operators  # noqa: PLC0415 - as worker.cli says

    show_operators(as_json=as_json)

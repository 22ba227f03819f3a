"""The options of `slipway operators`, and the words they take."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import When, duration, per_second, rate_or_none, when


class Protocol(StrEnum):
    """How a partner is told."""

    PAM = "pam"
    SEAMLESS = "seamless"


class LotteryTicket(StrEnum):
    """What makes one ticket of a lottery's tickets and draws."""

    TICKET = "ticket"
    TICKET_AND_DRAW = "ticket+draw"


Code = Annotated[str, typer.Argument(metavar="CODE", help="Its name in events and notices.")]
OneCode = Annotated[str | None, typer.Argument(metavar="CODE", help="Only this one.")]
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
SignCalls = Annotated[
    bool,
    typer.Option("--sign", help="Seamless: calls carry x-amb-signature, made with the secret."),
]

# What `set` leaves alone unless it is named.
NewUrl = Annotated[str | None, typer.Option("--url", help="Where its notices are sent.")]
NewCloseDelay = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration, metavar="DURATION", help="For results that are taken from now on."
    ),
]
NewRate = Annotated[
    float | None,
    typer.Option(parser=rate_or_none, metavar="RATE", help="Most notices: 50/s, or unlimited."),
]
NewInFlight = Annotated[int | None, typer.Option("--in-flight", help="Most requests at once.")]
NewTimezone = Annotated[str | None, typer.Option("--timezone", help="Its time zone.")]
NewAnnouncesTickets = Annotated[
    bool | None,
    typer.Option(
        "--announces-tickets/--no-announces-tickets",
        help="Whether results wait for their ticket.",
    ),
]
NewSignCalls = Annotated[
    bool | None, typer.Option("--sign/--no-sign", help="Seamless: whether calls are signed.")
]
NewLotteryTicket = Annotated[
    LotteryTicket | None,
    typer.Option("--lottery-ticket", help="For lottery messages from now on."),
]
SwitchAt = Annotated[
    When,
    typer.Option(
        parser=when,
        metavar="TIME",
        help="When the new secret begins to sign: 2026-11-20T10:00:00Z, or +1h.",
        show_default="now",
    ),
]
ForgetAt = Annotated[
    When | None,
    typer.Option(
        parser=when,
        metavar="TIME",
        help="Until when the old one is accepted.",
        show_default="24 h after the switch",
    ),
]

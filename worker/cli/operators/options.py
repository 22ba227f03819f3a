"""The options of `slipway operators`, and the values they take."""

from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from models.platform.typed_times import Past, When
from worker.cli.options import (
    DEFAULT,
    NO_DURATION,
    duration,
    own_duration,
    past,
    per_second,
    rate_or_unlimited,
    when,
)


class Protocol(StrEnum):
    """The protocol a partner speaks."""

    PAM = "pam"
    SEAMLESS = "seamless"


class LotteryTicket(StrEnum):
    """What becomes one ticket of a lottery's tickets and draws."""

    TICKET = "ticket"
    TICKET_AND_DRAW = "ticket+draw"


Code = Annotated[
    str, typer.Argument(metavar="CODE", help="The operator's name in events and notices.")
]
Confirm = Annotated[
    str | None,
    typer.Option(
        "--confirm", metavar="CODE", help="The code once more, instead of being asked for it."
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Show the progress until all its tickets ended.")
]
OptionalCode = Annotated[str | None, typer.Argument(metavar="CODE", help="Only this operator.")]
Url = Annotated[str, typer.Option(help="Where its notices are sent.")]
ProtocolOption = Annotated[Protocol, typer.Option("--protocol", help="Partner protocol.")]
CloseDelay = Annotated[
    timedelta,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Time from the delivered result to ticket_closed.",
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(help="File with the signing secret; without it one is made and shown once."),
]
ApiKeyFile = Annotated[
    Path | None, typer.Option(help="File with a publisher key for this operator only.")
]
Agent = Annotated[str | None, typer.Option(help="Seamless wallet: its name for us.")]
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
        parser=per_second,
        metavar="RATE",
        help="Rate limit for notices, e.g. 50/s.",
        show_default="no limit",
    ),
]
InFlight = Annotated[int, typer.Option(help="Maximum number of concurrent requests.")]
Timezone = Annotated[str, typer.Option(help="Its time zone, e.g. Europe/Malta.")]
LotteryTicketOption = Annotated[
    LotteryTicket,
    typer.Option("--lottery-ticket", help="What becomes one ticket in its lottery feed."),
]
SignCalls = Annotated[
    bool,
    typer.Option(
        "--sign", help="Seamless wallet: sign requests (x-amb-signature) with the secret."
    ),
]

# The options of `set`: what is not given stays as it is.
NewUrl = Annotated[str | None, typer.Option("--url", help="Where its notices are sent.")]
NewCloseDelay = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration, metavar="DURATION", help="For results that are delivered from now on."
    ),
]
NewRate = Annotated[
    float | None,
    typer.Option(
        parser=rate_or_unlimited,
        metavar="RATE",
        help="Rate limit for notices, e.g. 50/s, or unlimited.",
    ),
]
NewInFlight = Annotated[
    int | None, typer.Option("--in-flight", help="Maximum number of concurrent requests.")
]
NewTimezone = Annotated[
    str | None, typer.Option("--timezone", help="Its time zone, e.g. Europe/Malta.")
]
NewAnnouncesTickets = Annotated[
    bool | None,
    typer.Option(
        "--announces-tickets/--no-announces-tickets",
        help="Whether results wait for their ticket.",
    ),
]
NewSignCalls = Annotated[
    bool | None,
    typer.Option("--sign/--no-sign", help="Seamless wallet: whether requests are signed."),
]
NewLotteryTicket = Annotated[
    LotteryTicket | None,
    typer.Option("--lottery-ticket", help="For lottery messages from now on."),
]
AccessFile = Annotated[
    Path | None,
    typer.Option("--file", help="YAML file with the access; secrets in files named in it."),
]
NewAccessFile = Annotated[
    Path | None,
    typer.Option(
        "--access-file",
        help="YAML file with what its calls carry for a gateway; secrets in files named in it.",
    ),
]
ClearAccess = Annotated[
    bool, typer.Option("--clear", help="Remove it: calls carry what the protocol has.")
]
AccessSwitchAt = Annotated[
    When | None,
    typer.Option(
        "--switch-at",
        parser=when,
        metavar="TIME",
        help="From when on it is used: 2026-11-20T10:00:00Z, or +1h.",
        show_default="now",
    ),
]
SwitchAt = Annotated[
    When,
    typer.Option(
        parser=when,
        metavar="TIME",
        help="When the new secret starts to sign: 2026-11-20T10:00:00Z, or +1h.",
        show_default="now",
    ),
]
ForgetAt = Annotated[
    When | None,
    typer.Option(
        parser=when,
        metavar="TIME",
        help="Until when the old secret is accepted.",
        show_default="24 h after the switch",
    ),
]
TakenSince = Annotated[
    Past,
    typer.Option(
        "--since",
        parser=past,
        metavar="TIME",
        help="From this time on, like 2026-11-20T10:00Z or 3h.",
    ),
]
TakenUntil = Annotated[
    Past,
    typer.Option(
        "--until", parser=past, metavar="TIME", help="Until before this time.", show_default="now"
    ),
]
Pace = Annotated[
    float | None,
    typer.Option(
        parser=per_second,
        metavar="RATE",
        help="At most as many tickets, like 50/s; beside it, the operator's own rate holds.",
        show_default="as fast as the sweep can",
    ),
]
FollowJob = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Show the progress until the job has ended.")
]
CountOnly = Annotated[bool, typer.Option("--dry-run", help="Only count the tickets.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """The terms of delivery of one operator (`models.operators.delivery_terms`)."""

    user_agent: Annotated[
        str | None, typer.Option(metavar="TEXT", help="User-Agent of the calls to it.")
    ] = None
    timeout: Annotated[
        timedelta | None,
        typer.Option(
            parser=own_duration, metavar="DURATION", help="For one call to it, up to 60s."
        ),
    ] = None
    retry_schedule: Annotated[
        str | None,
        typer.Option(metavar="DURATIONS", help="Pauses between attempts, like 10s,1m,1h."),
    ] = None
    retry_limit: Annotated[
        timedelta | None,
        typer.Option(
            parser=own_duration,
            metavar="DURATION",
            help="Sum of the pauses after which a notice is a dead letter.",
        ),
    ] = None
    taken: Annotated[
        str | None,
        typer.Option(metavar="STATUSES", help="PAM: statuses that say it has the notice: 2xx,409."),
    ] = None
    create_taken: Annotated[
        str | None,
        typer.Option(metavar="STATUSES", help="PAM: the same of create and reserve: 2xx."),
    ] = None
    success_json: Annotated[
        bool | None,
        typer.Option(
            "--success-json/--no-success-json", help="PAM: whether a success must be JSON."
        ),
    ] = None
    success_text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="PAM: a success must hold this text.")
    ] = None
    wants: Annotated[
        str | None,
        typer.Option(
            metavar="ACTIONS", help="The actions that it is sent, like ticket_win,ticket_lost."
        ),
    ] = None
    pass_trace: Annotated[
        bool | None,
        typer.Option(
            "--pass-trace/--no-pass-trace", help="Whether its calls carry a header `traceparent`."
        ),
    ] = None
    keep_bodies: Annotated[
        timedelta | None,
        typer.Option(
            parser=own_duration,
            metavar="DURATION",
            help="How long bodies and responses are kept after a ticket's end, like 30d.",
        ),
    ] = None

    @property
    def terms(self) -> dict[str, Any]:
        """The terms that were given; the word `default` is None."""
        given = {option.name: getattr(self, option.name) for option in fields(self)}
        return {
            name: None if value in {DEFAULT, NO_DURATION} else value
            for name, value in given.items()
            if value is not None
        }

"""`slipway operators`: the partners."""

import math

import typer

from worker.cli.help_pages import FullSentences
from worker.cli.operators.options import (
    Agent,
    AnnouncesTickets,
    ApiKeyFile,
    CloseDelay,
    Code,
    ForgetAt,
    HowTold,
    InFlight,
    LotteryTicket,
    NewAnnouncesTickets,
    NewCloseDelay,
    NewInFlight,
    NewLotteryTicket,
    NewRate,
    NewSignCalls,
    NewTimezone,
    NewUrl,
    OneCode,
    OneLotteryTicket,
    Rate,
    SecretFile,
    SignCalls,
    SwitchAt,
    Timezone,
    Url,
)
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name

app = typer.Typer(cls=FullSentences, help="The operators, our partners.", no_args_is_help=True)


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
    sign: SignCalls = False,
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
    from worker.cli.operators.add import OperatorOptions, add_from_form  # noqa: PLC0415 - as worker.cli says

    form = OperatorOptions(
        code=code,
        url=url,
        protocol=protocol,
        close_delay=close_delay,
        secret_file=secret_file,
        api_key_file=api_key_file,
        agent=agent,
        sign_calls=sign,
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
    from worker.cli.operators.listing import show_operators  # noqa: PLC0415 - as worker.cli says

    show_operators(as_json=as_json)


@app.command("show", epilog="Example: slipway operators show acme")
def show(code: Code, *, as_json: AsJson = False) -> None:
    """Show one operator and what people changed about it; never its secret."""
    from worker.cli.operators.listing import show_one  # noqa: PLC0415 - as worker.cli says

    show_one(code, as_json=as_json)


@app.command(
    "set", epilog="Example: slipway operators set acme --in-flight 64 --why 'they can take more'"
)
def change(  # noqa: PLR0913 - one parameter for each option of the command
    code: Code,
    *,
    url: NewUrl = None,
    close_delay: NewCloseDelay = None,
    rate: NewRate = None,
    in_flight: NewInFlight = None,
    timezone: NewTimezone = None,
    agent: Agent = None,
    sign: NewSignCalls = None,
    announces_tickets: NewAnnouncesTickets = None,
    lottery_ticket: NewLotteryTicket = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Change what is named; the rest stays. Delivery goes by it within a second."""
    from worker.cli.operators.change import change_from_wishes  # noqa: PLC0415 - as worker.cli says

    named: dict[str, object] = {
        "url": url,
        "close_delay": close_delay,
        "rate": rate,
        "in_flight": in_flight,
        "timezone": timezone,
        "agent": agent,
        "sign_calls": sign,
        "announces_tickets": announces_tickets,
        "lottery_ticket": None if lottery_ticket is None else lottery_ticket.value,
    }
    wishes = {name: value for name, value in named.items() if value is not None}
    if rate == math.inf:
        wishes["rate"] = None
    change_from_wishes(code, wishes, who=person_name(by), why=why, as_json=as_json)


@app.command("disable", epilog="Example: slipway operators disable acme --why 'their maintenance'")
def disable(code: Code, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Hold the operator's notices. Events go on being applied, and nothing is lost."""
    from worker.cli.operators.change import hold  # noqa: PLC0415 - as worker.cli says

    hold(code, who=person_name(by), why=why, as_json=as_json)


@app.command("enable", epilog="Example: slipway operators enable acme --why 'they are back'")
def enable(code: Code, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Let the operator's notices go again, in order and at its rate."""
    from worker.cli.operators.change import let_go  # noqa: PLC0415 - as worker.cli says

    let_go(code, who=person_name(by), why=why, as_json=as_json)


@app.command(
    "rotate-secret",
    epilog="Example: slipway operators rotate-secret acme --switch-at +1h --forget-at +25h",
)
def rotate_secret(
    code: Code,
    *,
    secret_file: SecretFile = None,
    switch_at: SwitchAt = "+0s",  # type: ignore[assignment]  # Typer parses a default's text
    forget_at: ForgetAt = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Exchange the operator's secret.

    The old one signs until --switch-at, then the new one does; until --forget-at both are
    accepted. An operator has two secrets at most: an exchange that is going on ends with this one.
    """
    from worker.cli.operators.secrets import rotate  # noqa: PLC0415 - as worker.cli says

    rotate(
        code,
        secret_file=secret_file,
        switch_at=switch_at,
        forget_at=forget_at,
        who=person_name(by),
        why=why,
        as_json=as_json,
    )


@app.command("reseal", epilog="Example: slipway operators reseal --why 'key of 2026 in front'")
def reseal(*, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Encrypt all secrets anew with the first key of SLIPWAY_SECRET_KEY.

    Put the new key in front of the old one, restart every process with both, run this, and drop
    the old key. Exit code 1 if there are secrets that no key opens.
    """
    from worker.cli.operators.secrets import reseal_all  # noqa: PLC0415 - as worker.cli says

    reseal_all(who=person_name(by), why=why, as_json=as_json)


@app.command("ping", epilog="Example: slipway operators ping acme")
def ping(code: Code, *, as_json: AsJson = False) -> None:
    """Ask whether the partner is there; changes nothing at it. Exit code 1 if it is not.

    PAM: the contract's unsigned ping, answered with 2xx. Seamless has none: the balance of a
    player whom nobody knows is asked for, and any status.code is an answer.
    """
    from worker.cli.operators.ping import ping_partner  # noqa: PLC0415 - as worker.cli says

    ping_partner(code, as_json=as_json)


@app.command("status", epilog="Example: slipway operators status acme    or: status --json")
def status(code: OneCode = None, *, as_json: AsJson = False) -> None:
    """Show the state of the partners: circuit, in flight, due, dead, and the last five minutes.

    "undelivered for" is the age of the oldest undelivered notice, also between two attempts. While
    a circuit is open, only a probe every 15 s is sent, and no notice dies of that. What to do about
    its cause is below the table.
    """
    from worker.cli.operators.status import show_status  # noqa: PLC0415 - as worker.cli says

    show_status(code, as_json=as_json)

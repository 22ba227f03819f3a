"""`slipway operators`: the partners' accounts."""

import math
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.help_pages import command_group
from worker.cli.operators import access, accounts, ending, files, health, listing, secrets, sending
from worker.cli.operators.options import (
    AccessFile,
    AccessSwitchAt,
    Agent,
    AnnouncesTickets,
    ApiKeyFile,
    ClearAccess,
    CloseDelay,
    Code,
    Confirm,
    CountOnly,
    DeliveryOptions,
    FollowJob,
    ForgetAt,
    InFlight,
    LotteryTicket,
    LotteryTicketOption,
    NewAccessFile,
    NewAnnouncesTickets,
    NewCloseDelay,
    NewInFlight,
    NewLotteryTicket,
    NewRate,
    NewSignCalls,
    NewTimezone,
    NewUrl,
    OptionalCode,
    Pace,
    ProtocolOption,
    Rate,
    SecretFile,
    SignCalls,
    SwitchAt,
    TakenSince,
    TakenUntil,
    Timezone,
    Url,
    Wait,
)
from worker.cli.option_groups import with_option_groups
from worker.cli.options import NO_REASON, AsJson, By, Why, person_name
from worker.cli.triage.options import RequiredWhy, Yes

app = command_group("Manage operators: the partners' accounts.")
Signed = Annotated[
    bool, typer.Option("--signed", help="Send a signed test that the partner verifies.")
]


@app.command(
    "add",
    epilog=(
        "Example: slipway operators add acme --url https://pam.acme.example/slipway --protocol pam"
        " --why 'contract of 1 November'"
    ),
)
@with_option_groups
def add(  # noqa: PLR0913 - one parameter for each option of the command
    code: Code,
    *,
    url: Url,
    protocol: ProtocolOption,
    close_delay: CloseDelay = "24h",  # type: ignore[assignment]  # Typer parses a default's text
    secret_file: SecretFile = None,
    api_key_file: ApiKeyFile = None,
    access_file: NewAccessFile = None,
    agent: Agent = None,
    sign: SignCalls = False,
    announces_tickets: AnnouncesTickets = False,
    rate: Rate = None,
    in_flight: InFlight = 32,
    timezone: Timezone = "UTC",
    lottery_ticket: LotteryTicketOption = LotteryTicket.TICKET,
    delivery: DeliveryOptions,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Add an operator. Its secret is stored encrypted and never shown again."""
    options = accounts.OperatorOptions(
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
        delivery=delivery.terms,
        access_file=access_file,
    )
    accounts.add(options, who=person_name(by), why=why, as_json=as_json)


@app.command("list", epilog="Example: slipway operators list --json")
def show_list(*, as_json: AsJson = False) -> None:
    """List the operators with their settings, without any secret."""
    listing.show_all(as_json=as_json)


@app.command("show", epilog="Example: slipway operators show acme")
def show(code: Code, *, as_json: AsJson = False) -> None:
    """Show one operator and the changes people made to it; never its secret."""
    listing.show_one(code, as_json=as_json)


@app.command(
    "set", epilog="Example: slipway operators set acme --in-flight 64 --why 'they can take more'"
)
@with_option_groups
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
    delivery: DeliveryOptions,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Change the given settings and keep the rest. Deliveries follow within a second.

    The word `default` returns a term of delivery to what holds for every operator.
    """
    options: dict[str, object] = {
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
    patch = {name: value for name, value in options.items() if value is not None}
    if rate == math.inf:
        patch["rate"] = None
    patch |= delivery.terms
    accounts.change(code, patch, who=person_name(by), why=why, as_json=as_json)


@app.command(
    "access",
    epilog=(
        "Example: slipway operators access acme --file access.yaml --switch-at +1h --why 'their new"
        " API gateway'. What the file may hold: deploy/PARTNERS.md"
    ),
)
def change_access(
    code: Code,
    *,
    file: AccessFile = None,
    clear: ClearAccess = False,
    switch_at: AccessSwitchAt = None,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Show or set what its calls carry: headers, Basic, Bearer, OAuth, a client certificate, a CA.

    Without --file or --clear it is shown; secrets never are.
    """
    if file is None and not clear and switch_at is None:
        access.show(code, as_json=as_json)
        return
    access.change(
        code,
        file=file,
        clear=clear,
        switch_at=switch_at,
        who=person_name(by),
        why=why,
        as_json=as_json,
    )


@app.command("disable", epilog="Example: slipway operators disable acme --why 'their maintenance'")
def disable(code: Code, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Hold the operator's notices. Events are still applied, and nothing is lost."""
    accounts.disable(code, who=person_name(by), why=why, as_json=as_json)


@app.command("enable", epilog="Example: slipway operators enable acme --why 'they are back'")
def enable(code: Code, *, by: By = None, why: Why = NO_REASON, as_json: AsJson = False) -> None:
    """Send the operator's notices again, in order and within its rate limit."""
    accounts.enable(code, who=person_name(by), why=why, as_json=as_json)


@app.command(
    "end",
    epilog="Example: slipway operators end acme --confirm acme --why 'contract ended in November'",
)
def end(
    code: Code,
    *,
    confirm: Confirm = None,
    wait: Wait = True,
    by: By = None,
    why: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """End the partnership with an operator, for good.

    Shows what there is and asks for the code. From then on nothing is sent to the partner and its
    events are refused (operator_ended); what was not delivered is skipped (partner_ended), and
    every ticket ends: with a result closed, else cancelled. The code is not free again.
    """
    ending.end(code, confirm=confirm, wait=wait, who=person_name(by), why=why, as_json=as_json)


@app.command(
    "send-again",
    epilog=(
        "Example: slipway operators send-again acme --since 2026-11-20T10:00Z --until"
        " 2026-11-20T14:30Z --pace 50/s --why 'they restored a backup'"
    ),
)
def send_again(  # noqa: PLR0913 - one parameter for each option of the command
    code: Code,
    *,
    since: TakenSince,
    until: TakenUntil = "0s",  # type: ignore[assignment]  # Typer parses a default's text
    pace: Pace = None,
    dry_run: CountOnly = False,
    wait: FollowJob = True,
    yes: Yes = False,
    by: By = None,
    why: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """Send again what the partner took between two times, as after it restored a backup.

    Each ticket of which it took something then is sent again from that notice to its last one, in
    order, with the same bytes and the same Idempotency-Key; create and reserve never are. A ticket
    with undelivered or dead notices waits until it has none. The sweep carries the job on.
    """
    sending.send_again(
        code,
        sending.Taken(since, until, pace),
        sending.How(dry_run=dry_run, wait=wait, yes=yes, as_json=as_json),
        who=person_name(by),
        why=why,
    )


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
    """Replace the operator's secret.

    The old secret signs until --switch-at, then the new one does; both are accepted until
    --forget-at. An operator has at most two secrets: this ends a rotation that is in progress.
    """
    secrets.rotate(
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
    """Encrypt all secrets again with the first key of SLIPWAY_SECRET_KEY.

    Put the new key in front of the old one, restart every process with both, run this, and remove
    the old key. Exit code 1 if no key decrypts some of the secrets.
    """
    secrets.reencrypt_all(who=person_name(by), why=why, as_json=as_json)


@app.command("ping", epilog="Example: slipway operators ping acme    or: ping acme --signed")
def ping(code: Code, *, signed: Signed = False, as_json: AsJson = False) -> None:
    """Check that the partner responds, without changing anything there. Exit code 1 if not.

    PAM: the contract's unsigned ping; a 2xx is expected. The seamless wallet has no ping: this asks
    for the balance of an unknown player, and any status.code is a response.

    --signed tests the secret with a call that touches no ticket. PAM: the discard of a ticket that
    never was (slipway-test-...); a 2xx, or a 4xx with a code, is expected. The seamless wallet: the
    same question for a balance, signed, if its calls are (--sign).
    """
    health.ping_partner(code, signed=signed, as_json=as_json)


@app.command("status", epilog="Example: slipway operators status acme    or: status --json")
def status(code: OptionalCode = None, *, as_json: AsJson = False) -> None:
    """Show how deliveries go: circuit, in flight, due, dead, and the last five minutes.

    "undelivered for" is the age of the oldest notice that the partner has not taken, also between
    two attempts. While a circuit is open, only a probe is sent every 15 s, and no notice becomes a
    dead letter. Advice about the cause is printed below the table.
    """
    health.show_status(code, as_json=as_json)


@app.command("apply", epilog="Example: slipway operators apply -f operators.yaml --dry-run")
def apply(
    *,
    file: Annotated[Path, typer.Option("-f", "--file", help="Desired operators (YAML).")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    by: By = None,
    why: Why = NO_REASON,
    as_json: AsJson = False,
) -> None:
    """Make the operators match a file, completely or not at all. Applying it again changes nothing.

    Operators that are not in the file stay as they are. Secrets are in files of their own, named
    relative to this one; to replace an operator's secret, use rotate-secret.
    """
    files.apply_file(file, dry_run=dry_run, who=person_name(by), why=why, as_json=as_json)


@app.command(
    "export", epilog="Example: slipway operators export -f operators.yaml --secrets ./secrets"
)
def export(
    *,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="Output file.", show_default="stdout")
    ] = None,
    secrets_folder: Annotated[
        Path | None,
        typer.Option(
            "--secrets", metavar="DIR", help="Write each secret, in clear, into a file in DIR."
        ),
    ] = None,
) -> None:
    """Write the operators as a file for `apply`; secrets only with --secrets."""
    files.export_file(file, secrets=secrets_folder)

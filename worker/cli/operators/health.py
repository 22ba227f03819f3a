"""Shows how deliveries to the partners are going, and pings a partner."""

from dataclasses import asdict
from datetime import datetime, timedelta

import typer

from models.monitoring.operators import COUNTED_MAX, OperatorHealth, operator_health
from models.operators.partners import require_partner
from models.outbox.causes import Cause
from models.platform.clock import DatabaseClock
from models.platform.durations import format_duration
from models.platform.encryption import Vault
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, moment, remark, show_json, show_table
from worker.delivery.http.egress import PROXY_CHECKS
from worker.delivery.ping import (
    CallsNotSigned,
    PingResult,
    SignatureCheck,
    ping_as_configured,
)
from worker.delivery.token_step import TokenStep
from worker.doctor.circuit_advice import advice_for

_COLUMNS = (
    *("code", "circuit", "in flight", "due", "oldest", "undelivered for", "dead"),
    *("success", "p50", "p99", ""),
)
_SECOND = timedelta(seconds=1)


def show_status(code: str | None, *, as_json: bool) -> None:
    """Print the health of all operators, or of the one with this *code*."""
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        operators = operator_health(connection, now=now, code=code)
    if as_json:
        show_json(
            [{**asdict(operator), "circuit_advice": _advice(operator)} for operator in operators]
        )
        return
    if not operators:
        remark("no operator yet; add one with `slipway operators add`")
        return
    show_table(_COLUMNS, [_row(operator, now) for operator in operators])
    for operator in operators:
        advice = _advice(operator)
        if advice is not None:
            remark(f"{operator.code} ({operator.circuit_cause}): {advice}")


def ping_partner(code: str, *, signed: bool, as_json: bool) -> None:
    """Ping the partner, disabled or not. Raises Failed if it does not respond as expected.

    Raises OperatorEnded.
    """
    settings = read_settings()
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        partner = require_partner(connection, code, now=now)
    vault = Vault.with_keys(settings.secret_key)
    try:
        pinged = ping_as_configured(partner, signed=signed, at=now, vault=vault, settings=settings)
    except CallsNotSigned as refusal:
        raise Failed(str(refusal)) from None
    if as_json:
        show_json(pinged)
    else:
        _show_response(pinged)
    if pinged.signature is SignatureCheck.REFUSED:
        raise Failed(
            f"{code} refused the signature, or our address: {advice_for(Cause.LOCKED_OUT, code)}"
        )
    if not pinged.there:
        raise Failed(f"{code} did not respond as a {partner.protocol} partner does")


def _advice(operator: OperatorHealth) -> str | None:
    cause = operator.circuit_cause
    return None if cause is None else advice_for(cause, operator.code)


def _row(operator: OperatorHealth, now: datetime) -> tuple[str, ...]:
    rate = "" if operator.rate is None else f", {operator.rate:g}/s"
    return (
        operator.code,
        operator.circuit,
        f"{operator.in_flight}/{operator.in_flight_max}{rate}",
        _count(operator.due),
        "-" if operator.oldest_due_at is None else _age(operator.oldest_due_at, now),
        "-" if operator.undelivered_since is None else _age(operator.undelivered_since, now),
        _count(operator.dead),
        "-" if operator.success_rate is None else f"{operator.success_rate:.1%}",
        _milliseconds(operator.p50_ms),
        _milliseconds(operator.p99_ms),
        "; ".join(_notes(operator)),
    )


def _notes(operator: OperatorHealth) -> list[str]:
    notes = []
    if operator.circuit_since is not None:
        since = f"{operator.circuit} since {moment(operator.circuit_since)}"
        reason = operator.circuit_reason
        notes.append(since if reason is None else f"{since}: {reason}")
    if operator.next_probe_at is not None:
        notes.append(f"next probe {moment(operator.next_probe_at)}")
    if operator.ended_at is not None:
        notes.append(f"ended {moment(operator.ended_at)}")
    if operator.disabled_at is not None:
        notes.append(f"disabled since {moment(operator.disabled_at)}")
    return notes


def _count(count: int) -> str:
    return f"{count}+" if count >= COUNTED_MAX else str(count)


def _age(at: datetime, now: datetime) -> str:
    return format_duration((now - at) // _SECOND * _SECOND)


def _milliseconds(count: int | None) -> str:
    return "-" if count is None else f"{count} ms"


def _token_line(step: TokenStep) -> str:
    """Return what the token endpoint answered: its problem names it and the status."""
    after = f"after {step.took_ms:g} ms"
    if step.expires_in is None:
        return f"no token {after}, so nothing was sent: {step.problem}"
    lasting = format_duration(timedelta(seconds=step.expires_in))
    return f"token: {step.endpoint} responded {step.status} {after}, expires in {lasting}"


def _show_response(pinged: PingResult) -> None:
    milliseconds = f"{pinged.took_ms:g} ms"
    if pinged.token is not None:
        typer.echo(_token_line(pinged.token))
        if pinged.token.problem is not None:
            return
    typer.echo(f"POST {pinged.url} {pinged.sent}")
    if pinged.problem is not None:
        typer.echo(f"no response after {milliseconds}: {pinged.problem}")
        return
    address = "" if pinged.remote_address is None else f" from {pinged.remote_address}"
    if pinged.by_proxy:
        address += f", the proxy; {PROXY_CHECKS}"
    typer.echo(f"responded {pinged.status} after {milliseconds}{address}")
    if pinged.note is not None:
        typer.echo(pinged.note)
    if pinged.signature is not None:
        typer.echo(f"signature: {pinged.signature}")
    if pinged.beginning:
        typer.echo(as_text(pinged.beginning))

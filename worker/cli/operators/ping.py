"""Pings a partner and prints what came back."""

import typer

from models.operators.listing import unknown_operator
from models.operators.partners import find_partner
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, show_json
from worker.delivery.http.transfer import TransferLimits
from worker.delivery.ping import PingResult, ping


def ping_partner(code: str, *, as_json: bool) -> None:
    """Ping the partner, disabled or not. Raises Failed when it does not answer as it should."""
    settings = read_settings()
    with transaction() as connection:
        partner = find_partner(connection, code, now=DatabaseClock().now(connection))
        if partner is None:
            raise unknown_operator(connection, code)
    vault = Vault.with_keys(settings.secret_key)
    pinged = ping(
        partner,
        # A ping that is not signed needs none, so it works while the secret cannot be opened.
        secret=vault.open(partner.secret) if partner.sign_calls else "",
        limits=TransferLimits.of(settings),
        timeout=settings.partner_timeout,
    )
    if as_json:
        show_json(pinged)
    else:
        _show(pinged)
    if not pinged.there:
        raise Failed(f"{code} did not answer as a {partner.protocol} partner does")


def _show(pinged: PingResult) -> None:
    milliseconds = f"{pinged.took_ms:g} ms"
    typer.echo(f"POST {pinged.url} {pinged.sent}")
    if pinged.problem is not None:
        typer.echo(f"no answer after {milliseconds}: {pinged.problem}")
        return
    typer.echo(f"answered {pinged.status} after {milliseconds}")
    if pinged.beginning:
        typer.echo(as_text(pinged.beginning))

"""Calls that a person makes to a partner: the ping of its protocol, and a signed test."""

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.operators.partners import require_partner
from models.operators.pings import record_ping
from models.outbox.causes import Cause
from worker.console.addresses import PathId, path_of
from worker.console.console import Console, TheConsole
from worker.console.display.foreign_text import visible_plain
from worker.console.flash import Tone
from worker.console.forms import Act, TheAct
from worker.console.people import Operations, TheNow
from worker.console.refusals import conflict
from worker.console.rendering import see_other
from worker.delivery.ping import CallsNotSigned, PingResult, SignatureCheck, ping_as_configured
from worker.doctor.circuit_advice import advice_for

routes = APIRouter()


@routes.post("/partners/{code}/ping")
async def ping(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Call the partner once, as its protocol provides for it."""
    return await _ping(request, act, console, now, code, signed=False)


@routes.post("/partners/{code}/signed-test")
async def signed_test(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Send the partner a signed test, which touches no ticket."""
    return await _ping(request, act, console, now, code, signed=True)


async def _ping(
    request: Request, act: Act, console: Console, now: datetime, code: str, *, signed: bool
) -> Response:
    partner = await console.read(lambda connection: require_partner(connection, code, now=now))
    try:
        result = await console.call(
            lambda: ping_as_configured(
                partner, signed=signed, at=now, vault=console.vault, settings=console.settings
            )
        )
    except CallsNotSigned as refusal:
        raise conflict(f"{str(refusal)[:1].upper()}{str(refusal)[1:]}. Nothing was sent.") from None

    def record(connection: Connection) -> None:
        ended_at = console.clock.now(connection)
        record_ping(connection, code, result.facts, signed=signed, person=act.person, now=ended_at)

    await console.change(record)
    message, tone = _sentence(code, result)
    return see_other(request, path_of("partners", code) + "#call", message=message, tone=tone)


def _sentence(code: str, result: PingResult) -> tuple[str, Tone]:
    """Say what the call met, and whether that is well."""
    after = f"after {result.took_ms:,.0f} ms" + (" by the proxy" if result.by_proxy else "")
    if result.token is not None and result.token.problem is not None:
        return f"Nothing was sent to {code}: {visible_plain(result.token.problem)}.", "bad"
    if result.problem is not None:
        return f"{code} gave no response {after}: {visible_plain(result.problem)}.", "bad"
    responded = f"{code} responded {result.status} {after}"
    if result.token is not None:
        responded = f"{responded} to a token that took {result.token.took_ms:,.0f} ms"
    if result.signature is SignatureCheck.REFUSED:
        advice = advice_for(Cause.LOCKED_OUT, code)
        return f"{responded} and refused the signature, or our address: {advice}.", "bad"
    if not result.there:
        why = "" if result.note is None else f": {visible_plain(result.note)}"
        return f"{responded}, but not as a partner with this protocol does{why}.", "warning"
    if result.signature is SignatureCheck.ACCEPTED:
        return f"{responded} and accepted the signature.", "good"
    return f"{responded}, as it should.", "good"

"""One connection with the partner: request after request, each verified, kept and answered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from producers.simulation.partner.behaviour import Script
from producers.simulation.partner.call import Speech
from producers.simulation.partner.control import answer_control
from producers.simulation.partner.fault_injection import OutgoingLine, act
from producers.simulation.partner.http import Malformed, ReceivedRequest, read_request, refusal
from producers.simulation.partner.ledger import Ledger, LedgerEntry


@dataclass(frozen=True, slots=True)
class PartnerHost:
    """The partner itself, whatever connection it is spoken to on."""

    speech: Speech
    now: Callable[[], datetime]
    ledger: Ledger
    script: Script
    deduplicate: bool
    on_request: Callable[[LedgerEntry], None] | None


async def converse(house: PartnerHost, line: OutgoingLine) -> None:
    """Serve one connection until one side ends it. Raises OSError when the client breaks off."""
    silence = house.script.at_accept(house.now())
    if silence is not None:
        await act(silence, line, _ignore)
        return
    try:
        while request := await read_request(line.reader, line.writer):
            if request.target.startswith("/_"):
                reply = answer_control(house.ledger, house.script, house.speech, request)
                goes_on = await act(reply, line, _ignore)
            else:
                goes_on = await _serve(house, line, request)
            if request.is_last or not goes_on:
                return
    except Malformed as flaw:
        await act(refusal(flaw.status, str(flaw)), line, _ignore)


async def _serve(house: PartnerHost, line: OutgoingLine, request: ReceivedRequest) -> bool:
    received_at = house.now()
    call = house.speech.read(request, at=received_at)
    behaviour = (
        call.refusal
        or house.script.choose(action=call.action, ticket_id=call.ticket_id, now=received_at)
        or house.speech.usual
    )
    entry = house.ledger.receive(
        lambda number: LedgerEntry(
            number=number,
            received_at=received_at,
            method=request.method,
            path=request.target,
            headers=request.headers,
            body=request.body,
            action=call.action,
            operator=call.operator,
            ticket_id=call.ticket_id,
            idempotency_key=call.key,
            signature_ok=call.signed,
            behaviour=behaviour,
        )
    )

    def settle(*, take: bool, status: int | None = None) -> None:
        if take:
            house.speech.take(call)
        house.ledger.settle(
            entry.number,
            take=take,
            deduplicate=house.deduplicate,
            status=status,
            answered_at=None if status is None else house.now(),
        )

    try:
        return await act(house.speech.worded(behaviour, call, at=received_at), line, settle)
    finally:
        if house.on_request is not None:
            house.on_request(house.ledger.entry(entry.number) or entry)


def _ignore(*, take: bool, status: int | None = None) -> None:
    """Keep nothing: this is not a notice."""

"""One connection to the partner: each request is verified, recorded and answered in turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from producers.simulation.partner.behaviour import Script
from producers.simulation.partner.control import answer_control
from producers.simulation.partner.fault_injection import PartnerConnection, perform
from producers.simulation.partner.http import (
    MalformedRequest,
    ReceivedRequest,
    error_response,
    read_request,
)
from producers.simulation.partner.ledger import Ledger, LedgerEntry
from producers.simulation.partner.protocol import PartnerProtocol


@dataclass(frozen=True, slots=True)
class PartnerHost:
    """What all connections of one partner share."""

    protocol: PartnerProtocol
    now: Callable[[], datetime]
    ledger: Ledger
    script: Script
    deduplicate: bool
    on_request: Callable[[LedgerEntry], None] | None
    hurry: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))


async def serve_connection(host: PartnerHost, connection: PartnerConnection) -> None:
    """Serve one connection until either side closes it. Raises OSError if the client aborts."""
    hang = host.script.at_accept(host.now())
    if hang is not None:
        await perform(hang, connection, _record_nothing)
        return
    try:
        while request := await read_request(connection.reader, connection.writer):
            if request.target.startswith("/_"):
                response = answer_control(host.ledger, host.script, host.protocol, request)
                keep_open = await perform(response, connection, _record_nothing)
            else:
                keep_open = await _serve(host, connection, request)
            if request.is_last or not keep_open:
                return
    except MalformedRequest as error:
        await perform(error_response(error.status, str(error)), connection, _record_nothing)


async def _serve(
    host: PartnerHost, connection: PartnerConnection, request: ReceivedRequest
) -> bool:
    received_at = host.now()
    call = host.protocol.read(request, at=received_at)
    behaviour = (
        call.error
        or host.script.choose(action=call.action, ticket_id=call.ticket_id, now=received_at)
        or host.protocol.default_behaviour
    )
    entry = host.ledger.receive(
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

    def record(*, take: bool, status: int | None = None) -> None:
        if take:
            host.protocol.act_on(call)
        host.ledger.record_response(
            entry.number,
            take=take,
            deduplicate=host.deduplicate,
            status=status,
            answered_at=None if status is None else host.now(),
        )

    try:
        return await perform(
            host.protocol.build_response(behaviour, call, at=received_at), connection, record
        )
    finally:
        if host.on_request is not None:
            host.on_request(host.ledger.entry(entry.number) or entry)


def _record_nothing(*, take: bool, status: int | None = None) -> None:
    """Record nothing: this is not a notice."""

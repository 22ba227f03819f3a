"""One connection with the partner: request after request, each verified, kept and answered."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

from models.signing import verify
from producers.simulation.partner.acting import Line, act
from producers.simulation.partner.behaviour import Answer, Behaviour, Script
from producers.simulation.partner.control import answer_control
from producers.simulation.partner.http_wire import Malformed, Request, read_request
from producers.simulation.partner.ledger import Entry, Ledger

SIGNATURE_WINDOW = timedelta(seconds=300)  # contracts: BetStack 5.1
UNSIGNED_ACTIONS = frozenset({"ping"})  # contracts: BetStack 1.2
PLAYER = {  # contracts: BetStack 1.6, identify
    "player_id": "player-1",
    "lang": "en",
    "balance": 1_000_000,
    "currency": "EUR",
    "feature_flags": {},
}


@dataclass(frozen=True, slots=True)
class House:
    """The partner itself, whatever connection it is spoken to on."""

    secret: str = field(repr=False)
    now: Callable[[], datetime]
    ledger: Ledger
    script: Script
    deduplicate: bool
    on_request: Callable[[Entry], None] | None


async def converse(house: House, line: Line) -> None:
    """Serve one connection until one side ends it. Raises OSError when the client breaks off."""
    silence = house.script.at_accept(house.now())
    if silence is not None:
        await act(silence, line, _ignore)
        return
    try:
        while request := await read_request(line.reader, line.writer):
            if request.target.startswith("/_"):
                reply = answer_control(house.ledger, house.script, request)
                goes_on = await act(reply, line, _ignore)
            else:
                goes_on = await _serve(house, line, request)
            if request.is_last or not goes_on:
                return
    except Malformed as flaw:
        await act(_error(flaw.status, str(flaw)), line, _ignore)


async def _serve(house: House, line: Line, request: Request) -> bool:
    received_at = house.now()
    call = _read_call(request.body)
    signed = None if call.action in UNSIGNED_ACTIONS else _is_signed(house, request, received_at)
    refusal = _refusal(request, call, signed=signed)
    behaviour = refusal or house.script.choose(
        action=call.action, ticket_id=call.ticket_id, now=received_at
    )
    entry = house.ledger.receive(
        lambda number: Entry(
            number=number,
            received_at=received_at,
            method=request.method,
            path=request.target,
            headers=request.headers,
            body=request.body,
            action=call.action,
            operator=call.operator,
            ticket_id=call.ticket_id,
            idempotency_key=request.header("idempotency-key"),
            signature_ok=signed,
            behaviour=behaviour,
        )
    )

    def settle(*, take: bool, status: int | None = None) -> None:
        house.ledger.settle(
            entry.number,
            take=take,
            deduplicate=house.deduplicate,
            status=status,
            answered_at=None if status is None else house.now(),
        )

    try:
        return await act(_with_player(behaviour, call), line, settle)
    finally:
        if house.on_request is not None:
            house.on_request(house.ledger.entry(entry.number) or entry)


@dataclass(frozen=True, slots=True)
class _Call:
    """The parts of a body that this partner goes by; None where the body has no such string."""

    action: str | None = None
    operator: str | None = None
    ticket_id: str | None = None


def _read_call(body: bytes) -> _Call:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return _Call()
    if not isinstance(told, Mapping):
        return _Call()
    data = told.get("data")
    named = data if isinstance(data, Mapping) else {}
    return _Call(_text(told, "action"), _text(named, "operator"), _text(named, "ticket_id"))


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) else None


def _is_signed(house: House, request: Request, received_at: datetime) -> bool:
    return bool(
        verify(
            request.body,
            timestamp=request.header("timestamp") or "",
            signature=request.header("signature") or "",
            secrets=[house.secret],
            now=received_at,
            window=SIGNATURE_WINDOW,
        )
    )


def _refusal(request: Request, call: _Call, *, signed: bool | None) -> Answer | None:
    """Return the answer to what no partner would take, whatever the script says."""
    if request.method != "POST":
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "actions are sent with POST")
    if signed is False:
        return _error(HTTPStatus.FORBIDDEN, "the signature does not fit timestamp and body")
    if call.action is None:
        words = 'the body is not {"action": ..., "data": {...}}'
        return _error(HTTPStatus.BAD_REQUEST, words)
    return None


def _error(status: int, words: str) -> Answer:
    return Answer(int(status), body=json.dumps({"code": int(status), "message": words}).encode())


def _with_player(behaviour: Behaviour, call: _Call) -> Behaviour:
    """Fill in the one answer that needs a payload."""
    if call.action == "identify" and behaviour == Answer():
        return Answer(body=json.dumps(PLAYER).encode())
    return behaviour


def _ignore(*, take: bool, status: int | None = None) -> None:
    """Keep nothing: this is not a notice."""

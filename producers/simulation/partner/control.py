"""The partner's control API: paths that start with `/_`.

GET /_ledger?after=N&limit=N&ticket_id=ID   entries as JSON lines; &format=json for an array
GET /_verdict?close_delay=SECONDS           the check of every ticket's sequence so far
GET /_wallet                                a seamless wallet's accounts
GET, POST, DELETE /_behave                  the current rules; add one; clear them
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from producers.simulation.partner.behaviour import (
    HUGE_BYTES,
    Behaviour,
    CloseWithoutAnswer,
    Drip,
    Habit,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    RespondAsWallet,
    Rule,
    Script,
)
from producers.simulation.partner.http import ReceivedRequest
from producers.simulation.partner.ledger import Ledger, LedgerEntry
from producers.simulation.partner.protocol import PartnerProtocol
from producers.simulation.partner.wallet import Wallet
from producers.simulation.verdict import check_all_sequences

CONTROL_ENTRIES_MAX = 10_000


class _LedgerQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=CONTROL_ENTRIES_MAX)] = CONTROL_ENTRIES_MAX
    ticket_id: str | None = None
    format: Annotated[str, Field(pattern="^(lines|json)$")] = "lines"


class _VerdictQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    close_delay: Annotated[float, Field(ge=0)] = 86_400.0
    complete: bool = False


def answer_control(
    ledger: Ledger, script: Script, protocol: PartnerProtocol, request: ReceivedRequest
) -> Respond:
    """Respond to a request whose path starts with `/_`."""
    try:
        return _route(ledger, script, protocol, request)
    except ValidationError as error:
        message = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    except ValueError as error:
        message = str(error)
    return _json({"code": 422, "message": message}, status=422)


def _route(
    ledger: Ledger, script: Script, protocol: PartnerProtocol, request: ReceivedRequest
) -> Respond:
    target = urlsplit(request.target)
    query = dict(parse_qsl(target.query))
    match request.method, target.path:
        case "GET", "/_ledger":
            return _ledger(ledger, _LedgerQuery.model_validate(query))
        case "GET", "/_wallet" if isinstance(protocol, Wallet):
            return _json(
                {
                    "accounts": {name: str(balance) for name, balance in protocol.balances.items()},
                    "transactions": protocol.transactions,
                }
            )
        case "GET", "/_verdict" if not isinstance(
            protocol, Wallet
        ):  # a wallet sees no sequence of actions
            return _verdict(ledger, _VerdictQuery.model_validate(query))
        case "GET", "/_behave":
            return _json([repr(rule) for rule in script.rules()])
        case "POST", "/_behave":
            script.add(BehaviourOrder.model_validate_json(request.body).rule())
        case "DELETE", "/_behave":
            script.clear()
        case _:
            message = f"{request.method} {target.path} does not exist; see producers/README.md"
            return _json({"code": 404, "message": message}, status=404)
    return _json({"rules": len(script.rules())})


def _ledger(ledger: Ledger, query: _LedgerQuery) -> Respond:
    entries: Sequence[LedgerEntry] = [
        entry
        for entry in ledger.entries(after=query.after)
        if query.ticket_id in {None, entry.ticket_id}
    ][: query.limit]
    if query.format == "json":
        return _json([entry.as_json() for entry in entries])
    lines = b"".join(json.dumps(entry.as_json()).encode() + b"\n" for entry in entries)
    return Respond(body=lines, content_type="application/x-ndjson")


def _verdict(ledger: Ledger, query: _VerdictQuery) -> Respond:
    verdict = check_all_sequences(
        ledger.entries(),
        close_delay=timedelta(seconds=query.close_delay),
        complete=query.complete,
    )
    return _json({**asdict(verdict), "legal": verdict.legal, "entries_forgotten": ledger.forgotten})


def _json(value: object, *, status: int = 200) -> Respond:
    return Respond(status, body=json.dumps(value).encode() + b"\n")


Name = Literal[
    "status",
    "delay",
    "hang",
    "hang_after_accept",
    "hang_mid_body",
    "close_without_answer",
    "answer_then_close",
    "redirect_loop",
    "huge_body",
    "drip",
    "wrong_content_type",
    "odd_but_lawful",
    "success_whose_answer_is_lost",
    "wallet_code",
    "wrong_ref_id",
    "wrong_balance",
]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class BehaviourOrder(BaseModel):
    """One rule as JSON: a behaviour by name, its parameters, and when it applies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    behaviour: Name
    status: Annotated[int, Field(ge=200, le=599)] = 200
    seconds: Seconds | None = None
    length: Annotated[int, Field(ge=1, le=HUGE_BYTES)] | None = None
    code: Annotated[int, Field(ge=0, le=999_999)] = 0
    taken: bool | None = None
    habit: Habit | None = None
    retry_after: Annotated[str, Field(pattern=r"^[ -~]{1,64}$")] | None = None
    action: str | None = None
    ticket_id: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    first: Annotated[int, Field(ge=1)] | None = None
    per_ticket: bool = False

    def rule(self) -> Rule:
        """Return the rule. Raises ValueError if its conditions contradict each other."""
        return Rule(
            behaviour=_BEHAVIOURS[self.behaviour](self),
            action=self.action,
            ticket_id=self.ticket_id,
            since=self.since,
            until=self.until,
            first=self.first,
            per_ticket=self.per_ticket,
        )


def _respond(order: BehaviourOrder) -> Respond:
    retry_after = () if order.retry_after is None else (("Retry-After", order.retry_after),)
    return Respond(
        order.status, seconds=order.seconds or 0.0, headers=retry_after, taken=order.taken
    )


def _odd(order: BehaviourOrder) -> Respond:
    has_body = order.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT)
    return Respond(order.status, body=b'{"ok":true}' if has_body else b"", habit=order.habit)


def _wallet_code(order: BehaviourOrder) -> RespondAsWallet:
    return RespondAsWallet(
        order.code,
        status=order.status,
        seconds=order.seconds or 0.0,
        taken=order.taken,
        habit=order.habit,
    )


_BEHAVIOURS: dict[Name, Callable[[BehaviourOrder], Behaviour]] = {
    "status": _respond,
    "delay": _respond,
    "hang": lambda _: Hang(),
    "hang_after_accept": lambda _: HangAfterAccept(),
    "hang_mid_body": lambda order: HangMidBody(order.length or 1000),
    "close_without_answer": lambda _: CloseWithoutAnswer(),
    "answer_then_close": lambda order: Respond(order.status, then_close=True),
    "redirect_loop": lambda _: Respond(307, headers=(("Location", "/redirected-here-again"),)),
    "huge_body": lambda order: HugeBody(order.length or HUGE_BYTES),
    "drip": lambda order: Drip(
        order.length or 1000, 0.1 if order.seconds is None else order.seconds
    ),
    "wrong_content_type": lambda order: Respond(
        order.status, body=b"<!doctype html><p>It works", content_type="text/html"
    ),
    "odd_but_lawful": _odd,
    "success_whose_answer_is_lost": lambda _: CloseWithoutAnswer(taken=True),
    "wallet_code": _wallet_code,
    "wrong_ref_id": lambda _: RespondAsWallet(ref_id="another-transaction"),
    "wrong_balance": lambda _: RespondAsWallet(off_by=Decimal("0.01")),
}

"""A PAM platform: verifies, reads `{"action", "data"}`, answers with a status (contracts 1)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from models.platform.signing import verify
from producers.simulation.partner.behaviour import Behaviour, Deed, Respond, RespondAsWallet
from producers.simulation.partner.call import PartnerCall
from producers.simulation.partner.http import ReceivedRequest, refusal

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
class SimulatedPam:
    """Speaks PAM."""

    secret: str = field(repr=False)

    @property
    def usual(self) -> Behaviour:
        """200, and nothing more is needed."""
        return Respond()

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:
        """Read an action, and verify its signature over the exact bytes."""
        call = _read_body(request)
        if call.action not in UNSIGNED_ACTIONS:
            call = replace(call, signed=self._is_signed(request, at))
        return replace(call, refusal=_refusal(request, call))

    def worded(self, behaviour: Behaviour, call: PartnerCall, *, at: datetime) -> Deed:  # noqa: ARG002 - a wallet tells the time
        """Fill in the one answer that needs a payload."""
        if isinstance(behaviour, RespondAsWallet):
            raise TypeError("codes are a wallet's: the script refuses such a rule for PAM")
        if call.action == "identify" and behaviour == Respond():
            return Respond(body=json.dumps(PLAYER).encode())
        return behaviour

    def take(self, call: PartnerCall) -> None:
        """Keep no books: the ledger says what was taken."""

    def _is_signed(self, request: ReceivedRequest, at: datetime) -> bool:
        return bool(
            verify(
                request.body,
                timestamp=request.header("timestamp") or "",
                signature=request.header("signature") or "",
                secrets=[self.secret],
                now=at,
                window=SIGNATURE_WINDOW,
            )
        )


def _read_body(request: ReceivedRequest) -> PartnerCall:
    key = request.header("idempotency-key")
    try:
        told = json.loads(request.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        return PartnerCall(request.body, key=key)
    data = told.get("data")
    named = data if isinstance(data, Mapping) else {}
    return PartnerCall(
        request.body,
        action=_text(told, "action"),
        operator=_text(named, "operator"),
        ticket_id=_text(named, "ticket_id"),
        key=key,
    )


def _refusal(request: ReceivedRequest, call: PartnerCall) -> Respond | None:
    if request.method != "POST":
        return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "actions are sent with POST")
    if call.signed is False:
        return refusal(HTTPStatus.FORBIDDEN, "the signature does not fit timestamp and body")
    if call.action is None:
        return refusal(HTTPStatus.BAD_REQUEST, 'the body is not {"action": ..., "data": {...}}')
    return None


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) else None

"""A PAM platform: verifies, reads `{"action", "data"}`, responds with a status (contracts 1)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from models.platform.signing import verify
from producers.simulation.partner.behaviour import (
    Behaviour,
    Respond,
    RespondAsWallet,
    SocketBehaviour,
)
from producers.simulation.partner.http import ReceivedRequest, error_response
from producers.simulation.partner.protocol import PartnerCall

SIGNATURE_WINDOW = timedelta(seconds=300)  # contracts 5.1
UNSIGNED_ACTIONS = frozenset({"ping"})  # contracts 1.2
PLAYER = {  # contracts 1.6, identify
    "player_id": "player-1",
    "lang": "en",
    "balance": 1_000_000,
    "currency": "EUR",
    "feature_flags": {},
}


@dataclass(frozen=True, slots=True)
class SimulatedPam:
    """The partner's side of the PAM protocol."""

    secret: str = field(repr=False)

    @property
    def default_behaviour(self) -> Behaviour:
        """Respond 200 with an empty body."""
        return Respond()

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:
        """Read an action and verify the signature over the exact bytes."""
        call = _read_body(request)
        if call.action not in UNSIGNED_ACTIONS:
            call = replace(call, signed=self._is_signed(request, at))
        return replace(call, error=_error(request, call))

    def build_response(
        self,
        behaviour: Behaviour,
        call: PartnerCall,
        *,
        at: datetime,  # noqa: ARG002 - only a wallet needs the time
    ) -> SocketBehaviour:
        """Fill in the one response that needs a payload."""
        if isinstance(behaviour, RespondAsWallet):
            raise TypeError(
                "only a wallet responds with codes; the script rejects such a rule for PAM"
            )
        if call.action == "identify" and behaviour == Respond():
            return Respond(body=json.dumps(PLAYER).encode())
        return behaviour

    def act_on(self, call: PartnerCall) -> None:
        """Do nothing: the ledger records what was taken."""

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
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):
        return PartnerCall(request.body, key=key)
    data = document.get("data")
    fields = data if isinstance(data, Mapping) else {}
    return PartnerCall(
        request.body,
        action=_text(document, "action"),
        operator=_text(fields, "operator"),
        ticket_id=_text(fields, "ticket_id"),
        key=key,
    )


def _error(request: ReceivedRequest, call: PartnerCall) -> Respond | None:
    if request.method != "POST":
        return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "actions are sent with POST")
    if call.signed is False:
        return error_response(
            HTTPStatus.FORBIDDEN, "the signature does not match the timestamp and body"
        )
    if call.action is None:
        return error_response(
            HTTPStatus.BAD_REQUEST, 'the body is not {"action": ..., "data": {...}}'
        )
    return None


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None

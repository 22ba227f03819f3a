"""A partner without a wire: takes or refuses what it is sent, and remembers it all."""

from dataclasses import dataclass, field
from datetime import datetime

from models.outbox.values import Claim


@dataclass(frozen=True, slots=True)
class RehearsedCall:
    """One request as the partner saw it; the shape `judge_all` asks for."""

    operator: str
    ticket_id: str
    action: str
    idempotency_key: str
    body: bytes
    taken: bool
    repeats: bool
    received_at: datetime
    answered_at: datetime | None
    signature_ok: bool | None = True


@dataclass(slots=True)
class RehearsedPartner:
    """Keeps a ledger. What it took once it takes again, as a repeat."""

    ledger: list[RehearsedCall] = field(default_factory=list)
    _taken: dict[str, bytes] = field(default_factory=dict)

    def receive(self, claim: Claim, *, takes: bool, at: datetime, answered: bool) -> None:
        """Take or refuse the notice in *claim*. *answered*: the answer reaches its sender."""
        key = claim.idempotency_key
        self.ledger.append(
            RehearsedCall(
                operator=claim.operator_code,
                ticket_id=claim.ticket_id,
                action=claim.action,
                idempotency_key=key,
                body=claim.body.encode(),
                taken=takes,
                repeats=key in self._taken,
                received_at=at,
                answered_at=at if answered else None,
            )
        )
        if takes:
            self._taken.setdefault(key, claim.body.encode())

"""The partner of a rehearsal: it takes or rejects each notice, and keeps a ledger."""

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
    sent_again: bool = False  # a repeat that a person asked for (rule 22)


@dataclass(slots=True)
class RehearsedPartner:
    """Keeps a ledger. It accepts a notice again as a repeat."""

    ledger: list[RehearsedCall] = field(default_factory=list)
    _taken: dict[str, bytes] = field(default_factory=dict)

    def receive(self, claim: Claim, *, takes: bool, at: datetime, answered: bool) -> None:
        """Accept or reject the notice in *claim*. *answered*: the response reaches its sender."""
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
                sent_again=claim.repeat > 0,
            )
        )
        if takes:
            self._taken.setdefault(key, claim.body.encode())

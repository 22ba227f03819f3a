"""How a family of partners is spoken to: what differs from one protocol to the next, and no more.

A dialect words a request and says what an answer means. When to try again, for how long, and what
is kept is the same for all (`worker.delivery.outcome`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from models.outbox.values import Claim, Partner
from worker.delivery.http.exchange import HttpResponse


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """What to POST, and where. The body is the notice's own text, byte for byte."""

    url: str = field(repr=False)  # may hold a password
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


Remarks = dict[str, Any]
"""What else of an answer is kept with the attempt, in JSON's terms."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The partner has it."""

    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """The partner does not have it, and a later attempt may help."""

    problem: str
    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """The answer does not say whether the partner acted: as good as none (protocol.md rule 15)."""

    problem: str
    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The partner will not have it; the same request would be refused again.

    *words* are the partner's own: for the person who decides what to do, never for a log.
    """

    problem: str
    words: str | None = None
    remarks: Remarks | None = None


Meaning = Accepted | NotNow | Unclear | Rejected

# A front end gave up waiting, or the partner itself did, after it had the request: it may still act
# on it (protocol.md rule 15). 520 to 524 are Cloudflare's.
GAVE_UP_WAITING: Final = frozenset({408, 502, 504, *range(520, 525)})


class ProtocolAdapter(Protocol):
    """One partner protocol."""

    def request(
        self, claim: Claim, partner: Partner, *, secret: str, at: datetime
    ) -> OutgoingRequest:
        """Word an attempt made at *at*. The same claim always gives the same body."""
        ...

    def read(self, claim: Claim, answer: HttpResponse) -> Meaning:
        """Say what the partner's answer means for this notice."""
        ...

    def ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:
        """Word a call that shows whether the partner is there, and changes nothing at it."""
        ...

    def answers_ping(self, answer: HttpResponse) -> bool:
        """Say whether the answer to `ping` is one of a partner that speaks this protocol."""
        ...

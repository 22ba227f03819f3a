"""What differs between partner protocols, and no more.

An adapter builds requests and interprets responses. When to try again, for how long, and what is
stored is the same for all (`worker.delivery.outcome`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from models.notices.request import OutgoingRequest
from models.outbox.values import Claim, Partner
from models.platform.made_often import made_often
from worker.delivery.http.exchange import HttpResponse

Remarks = dict[str, Any]
"""What else of a response is stored with the attempt, as JSON."""


@made_often
class Confirmed:
    """The partner has it."""

    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """The partner does not have it, and a later attempt may help."""

    problem: str
    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """The response does not tell whether the partner acted: it counts as none (rule 15)."""

    problem: str
    remarks: Remarks | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The partner refused it, and would refuse the same request again.

    *text* is the partner's own: for the person who decides what to do, never for a log.
    """

    problem: str
    text: str | None = None
    remarks: Remarks | None = None


Meaning = Confirmed | NotNow | Unclear | Rejected


class ProtocolAdapter(Protocol):
    """One partner protocol."""

    def build_request(
        self, claim: Claim, partner: Partner, *, secret: str, at: datetime
    ) -> OutgoingRequest:
        """Build the request of an attempt at *at*. The same claim always has the same body."""
        ...

    def interpret(self, claim: Claim, partner: Partner, response: HttpResponse) -> Meaning:
        """Return what the partner's response means for this notice, by the partner's terms."""
        ...

    def build_ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:
        """Build a request that shows whether the partner responds, and changes nothing there."""
        ...

    def is_ping_response(self, partner: Partner, response: HttpResponse) -> bool:
        """Return whether the response to a ping is that of a partner with this protocol."""
        ...

    def explain(self, partner: Partner, response: HttpResponse) -> str | None:
        """Return what is wrong with a response to a ping, where its status does not tell."""
        ...

    def build_test(
        self, partner: Partner, *, secret: str, at: datetime, test_id: str
    ) -> OutgoingRequest | None:
        """Build a signed call that touches no ticket; None if calls to *partner* are not signed."""
        ...

    def is_test_response(self, partner: Partner, response: HttpResponse) -> bool:
        """Return whether the partner accepted the test, or refused it as the contract says."""
        ...

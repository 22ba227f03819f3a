"""What a partner makes of a request, whichever protocol it speaks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from producers.simulation.partner.behaviour import Behaviour, Deed, Respond
from producers.simulation.partner.http import ReceivedRequest


@dataclass(frozen=True, slots=True)
class PartnerCall:
    """A request as this partner reads it; None where it does not say so.

    *refusal*: the answer to what no partner would take, whatever the script says.
    """

    body: bytes
    action: str | None = None
    operator: str | None = None
    ticket_id: str | None = None
    key: str | None = None  # the same for every repeat of one notice
    signed: bool | None = None  # None: nothing had to be signed
    refusal: Respond | None = None


class Speech(Protocol):
    """One protocol, as the partner's side speaks it."""

    @property
    def usual(self) -> Behaviour:
        """What it does with a request that no rule of the script fits."""

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:
        """Read a request that came in at *at*. Raises nothing, whatever it holds."""

    def worded(self, behaviour: Behaviour, call: PartnerCall, *, at: datetime) -> Deed:
        """Put the answer into the protocol's own words, where it has any."""

    def take(self, call: PartnerCall) -> None:
        """Act upon a call, once."""

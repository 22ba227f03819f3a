"""What a partner reads from a request, in whichever protocol."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from producers.simulation.partner.behaviour import Behaviour, Respond, SocketBehaviour
from producers.simulation.partner.http import ReceivedRequest


@dataclass(frozen=True, slots=True)
class PartnerCall:
    """A request as this partner reads it; None where the request does not hold the value.

    *error*: the response to a request that no partner accepts, whatever the script says.
    """

    body: bytes
    action: str | None = None
    operator: str | None = None
    ticket_id: str | None = None
    key: str | None = None  # the same for every repeat of one notice
    signed: bool | None = None  # None: nothing had to be signed
    error: Respond | None = None


class PartnerProtocol(Protocol):
    """The partner's side of one protocol."""

    @property
    def default_behaviour(self) -> Behaviour:
        """What it does with a request that no rule of the script matches."""

    def read(self, request: ReceivedRequest, *, at: datetime) -> PartnerCall:
        """Read a request received at *at*. Never raises, whatever the request holds."""

    def build_response(
        self, behaviour: Behaviour, call: PartnerCall, *, at: datetime
    ) -> SocketBehaviour:
        """Express *behaviour* in the protocol's own format, where it has one."""

    def act_on(self, call: PartnerCall) -> None:
        """Act on a call, once."""

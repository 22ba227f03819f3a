"""A claim whose request is signed: it waits for a token, if its partner wants one, or is sent."""

from dataclasses import replace

from models.notices.request import OutgoingRequest
from models.outbox.values import Claim
from models.platform.made_often import made_often
from models.tracing.span import Span
from worker.delivery.partners import Ready
from worker.delivery.tokens import Token


@made_often
class SignedCall:
    """A claim whose request is ready to be sent, until *send_by* (monotonic)."""

    claim: Claim
    partner: Ready
    request: OutgoingRequest
    send_by: float = 0.0
    token: Token | None = None  # that it carries
    span: Span | None = None  # of this attempt, if its trace is recorded

    def with_token(self, token: Token) -> "SignedCall":
        """Return the call with *token*."""
        request = self.partner.with_token(self.request, token.value)
        return replace(self, request=request, token=token)

"""PAM, the protocol of operators' player account platforms (contracts 1.1 to 1.6).

One URL per operator takes every action as `{"action", "data"}`. The bytes that are sent are signed,
with a new timestamp for each attempt.
"""

import json
from datetime import datetime

from models.notices.key import key_of
from models.notices.pam import signed_test_body
from models.notices.request import OutgoingRequest, pam_request, ping_request
from models.notices.responses import GAVE_UP_WAITING, LATER, LOCKED_OUT
from models.operators.statuses import ANY_SUCCESS
from models.outbox.values import Claim, Partner
from models.platform.signing import sign
from models.vocabulary import Action
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.adapter import (
    Confirmed,
    Meaning,
    NotNow,
    Rejected,
    Unclear,
)
from worker.delivery.protocols.success import lacking, taken_statuses
from worker.delivery.response_headers import redirect_note


class PamAdapter:
    """Builds PAM requests and interprets their responses."""

    def build_request(
        self, claim: Claim, partner: Partner, *, secret: str, at: datetime
    ) -> OutgoingRequest:
        """Sign the notice's body for an attempt at *at* (contracts 1.2, contracts 1.3)."""
        body = claim.body.encode()
        timestamp = int(at.timestamp())
        return pam_request(
            partner.url + claim.path,
            body,
            timestamp=str(timestamp),
            signature=sign(body, timestamp=timestamp, secret=secret),
            idempotency_key=claim.idempotency_key,
        )

    def interpret(self, claim: Claim, partner: Partner, response: HttpResponse) -> Meaning:
        """Classify by the status, as the contract does (contracts 1.4).

        2xx is success, or what the partner's terms say. 408, 502, 504 and 520 to 524: unclear. 425,
        429, other 5xx and anything that is not a status of the contract (1xx, 3xx): not now. So are
        401 and 403, because a wrong secret on either side must not dead-letter everything that is
        due. The other 4xx: rejected.
        The body is read only where the terms ask for something in it, so a response that was too
        long counts all the same. A success without it leaves open whether the partner has it.

        A create or reserve is confirmed by 200 alone: after another 2xx (202 means "in progress")
        the debit may still come, so it is unclear. So is, to any notice, a 2xx that the terms leave
        out. A 401 or 403 rejects a create as any other 4xx does: it may be about the player.
        """
        status = response.status
        taken = taken_statuses(partner, sent_once=claim.sent_once)
        if status in taken:
            missing = lacking(partner, response)
            return Confirmed() if missing is None else Unclear(f"answered {status} {missing}")
        problem = f"answered {status}{redirect_note(response)}"
        if status in ANY_SUCCESS:
            return Unclear(f"{problem}; only {taken.text} accepts a {claim.action}")
        if status in GAVE_UP_WAITING:
            return Unclear(problem)
        spared = LATER if claim.sent_once else LATER | LOCKED_OUT
        if 400 <= status <= 499 and status not in spared:  # noqa: PLR2004 - class of refusals
            return Rejected(problem)
        return NotNow(problem)

    def build_ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:  # noqa: ARG002 - it is not signed
        """Build the ping of the contract, unsigned (contracts 1.2)."""
        return ping_request(partner.url)

    def is_ping_response(self, partner: Partner, response: HttpResponse) -> bool:
        """Return whether it is a success by the partner's terms, as for everything else."""
        taken = taken_statuses(partner, sent_once=False)
        return response.status in taken and lacking(partner, response) is None

    def explain(self, partner: Partner, response: HttpResponse) -> str | None:
        """Return where it redirects, or what a success lacks by the partner's terms."""
        if response.status in taken_statuses(partner, sent_once=False):
            missing = lacking(partner, response)
            return None if missing is None else f"answered {response.status} {missing}"
        note = redirect_note(response)
        return f"answered {response.status}{note}" if note else None

    def build_test(
        self, partner: Partner, *, secret: str, at: datetime, test_id: str
    ) -> OutgoingRequest:
        """Build the discard of a ticket that never was, marked by its id and its reason.

        Of all actions it is the one that a PAM takes for a ticket it never saw (contracts 1.6), and
        it moves no money. The contract's own ping is not signed, so most partners verify nothing of
        it. Nothing is stored here: no event, no notice.
        """
        ticket_id, text = signed_test_body(operator=partner.code, test_id=test_id)
        body = text.encode()
        timestamp = int(at.timestamp())
        return pam_request(
            partner.url,
            body,
            timestamp=str(timestamp),
            signature=sign(body, timestamp=timestamp, secret=secret),
            idempotency_key=key_of(partner.code, ticket_id, Action.DISCARD, 1),
        )

    def is_test_response(self, partner: Partner, response: HttpResponse) -> bool:
        """Return whether it is a success by the terms, or a refusal with a code (contracts 1.9)."""
        if self.is_ping_response(partner, response):
            return True
        return response.status not in LOCKED_OUT and _has_error_code(response)


def _has_error_code(response: HttpResponse) -> bool:
    """Return whether it is `{"code": int, "message": string}` with a 4xx; untrusted input."""
    if not 400 <= response.status <= 499:  # noqa: PLR2004 - class of refusals
        return False
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and type(document.get("code")) is int

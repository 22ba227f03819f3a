"""PAM, the protocol of operators' player account platforms (contracts: BetStack 1.1 to 1.6).

One URL per operator takes every action as `{"action", "data"}`. The bytes that are sent are signed,
with a timestamp of its own for each attempt.
"""

import re
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from models.outbox.values import Claim, Partner
from models.platform.signing import sign
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.adapter import (
    GAVE_UP_WAITING,
    Accepted,
    Meaning,
    NotNow,
    OutgoingRequest,
    Rejected,
    Unclear,
)

_TRY_AGAIN: Final = frozenset({HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
# Our key is wrong, not the notice: it must not die of that.
_LOCKED_OUT: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# All printable ASCII but `%`, which introduces what is not: two keys never look the same.
_PLAIN_KEY: Final = re.compile(r"[\w./-]*", re.ASCII)  # nearly all of them: nothing to quote
_KEPT_IN_KEYS: Final = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class PamAdapter:
    """The PAM dialect."""

    def request(
        self, claim: Claim, partner: Partner, *, secret: str, at: datetime
    ) -> OutgoingRequest:
        """Sign the notice's body for an attempt made at *at* (contracts: BetStack 1.2, 1.3).

        `Idempotency-Key` is operator, ticket, action and generation (design.md 5.5); what a header
        cannot hold is percent-encoded in it.
        """
        body = claim.body.encode()
        timestamp = int(at.timestamp())
        return OutgoingRequest(
            url=partner.url + claim.path,
            headers={
                "Content-Type": "application/json",
                "timestamp": str(timestamp),
                "signature": sign(body, timestamp=timestamp, secret=secret),
                "Idempotency-Key": _in_a_header(claim.idempotency_key),
            },
            body=body,
        )

    def read(self, claim: Claim, answer: HttpResponse) -> Meaning:
        """Judge by the status alone, as the contract does (design.md 5.4).

        2xx is success. 408, 502, 504 and 520 to 524: unclear. 425, 429, other 5xx and whatever is
        not a status of the contract (1xx, 3xx): later. So are 401 and 403, because a wrong secret
        on either side must not kill everything that is due. The other 4xx: refused. The body is not
        looked at: an answer that was too long to be read counts as much.

        A create or reserve is accepted by 200 alone: after another 2xx (202: "in work") the debit
        may still come, so it is unclear. A 401 or 403 refuses it as any other 4xx does: it may be
        about the player.
        """
        status = answer.status
        if status == HTTPStatus.OK:
            return Accepted()
        problem = f"answered {status}"
        if _is_success(status):
            if claim.sent_once:
                return Unclear(f"{problem}; only 200 accepts a {claim.action}")
            return Accepted()
        if status in GAVE_UP_WAITING:
            return Unclear(problem)
        spared = _TRY_AGAIN if claim.sent_once else _TRY_AGAIN | _LOCKED_OUT
        if 400 <= status <= 499 and status not in spared:  # noqa: PLR2004 - class of refusals
            return Rejected(problem)
        return NotNow(problem)

    def ping(self, partner: Partner, *, secret: str) -> OutgoingRequest:  # noqa: ARG002 - it is not signed
        """Ask as the contract does: unsigned (contracts: BetStack 1.2; its shape: 5.2)."""
        return OutgoingRequest(
            url=partner.url,
            headers={"Content-Type": "application/json"},
            body=b'{"action":"ping"}',
        )

    def answers_ping(self, answer: HttpResponse) -> bool:
        """2xx, as for everything else."""
        return _is_success(answer.status)


def _in_a_header(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else quote(key, safe=_KEPT_IN_KEYS)


def _is_success(status: int) -> bool:
    return 200 <= status <= 299  # noqa: PLR2004 - the class of success, by its bounds

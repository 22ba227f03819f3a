"""A notice's way, told line by line at the level `debug`: sent, and what came of it.

With `event_decided` of the intake a ticket can be followed from XADD to the partner's answer: all
of these lines name its operator and its id.
"""

import logging
from collections.abc import Iterable
from typing import Final

from models.outbox.values import Attempt, Claim
from worker.delivery.summary_log import facts

log = logging.getLogger(__name__)

NOTICE_SENT: Final = "notice_sent"
ATTEMPT_RECORDED: Final = "attempt_recorded"


def tell_sent(claim: Claim) -> None:
    """Tell that the call of *claim* has begun."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            NOTICE_SENT,
            extra={
                "operator": claim.operator_code,
                "ticket_id": claim.ticket_id,
                "notice_id": claim.notice,
                "action": str(claim.action),
                "generation": claim.generation,
                "claim": claim.number,
            },
        )


def tell_recorded(attempts: Iterable[Attempt]) -> None:
    """Tell what came of calls, once that is recorded."""
    if log.isEnabledFor(logging.DEBUG):
        for one in attempts:
            log.debug(ATTEMPT_RECORDED, extra={**facts(one), "http_status": one.http_status})

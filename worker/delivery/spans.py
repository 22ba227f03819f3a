"""The span `send` of an attempt: from its signing until its response is classified.

It is part of the trace of what caused the notice; the partner's own spans can be part of it.
"""

from typing import Final
from urllib.parse import urlsplit

from models.outbox.values import Attempt, Claim, Dead, Delivered
from models.tracing.span import Span, SpanKind
from models.tracing.tracer import Tracer

_NO_RESPONSE: Final = "no response"


def begin_send(tracer: Tracer, claim: Claim, url: str) -> Span | None:
    """Begin the span of an attempt on *claim*; None if its trace is not recorded."""
    if claim.traceparent is None or not tracer.records(claim.traceparent):
        return None
    return tracer.start(
        f"send {claim.action.value}",
        SpanKind.CLIENT,
        parent=claim.traceparent,
        attributes={
            "http.request.method": "POST",
            "http.request.resend_count": claim.number - 1,
            "server.address": urlsplit(url).hostname or "",  # no path, no query: they may be secret
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.message.id": str(claim.notice),
            "slipway.operator": claim.operator_code,
            "slipway.ticket_id": claim.ticket_id,
            "slipway.notice_id": claim.notice,
            "slipway.action": claim.action.value,
            "slipway.repeat": claim.repeat,
        },
    )


def end_send(span: Span, attempt: Attempt) -> None:
    """End it as its *attempt* ended. Nothing of the partner's text is in it."""
    attributes: dict[str, str | int] = {"slipway.verdict": attempt.verdict.word}
    if attempt.http_status is not None:
        attributes["http.response.status_code"] = attempt.http_status
    if isinstance(attempt.verdict, Delivered):
        span.end(attributes)
        return
    what = _NO_RESPONSE if attempt.http_status is None else f"status {attempt.http_status}"
    dead = "; no further attempt" if isinstance(attempt.verdict, Dead) else ""
    span.end(attributes, error=f"{what}{dead}")

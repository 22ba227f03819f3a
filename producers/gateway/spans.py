"""The span `publish` of a request: its entries' way onto the stream.

It is part of the caller's trace, or begins one. What begins here and is not recorded is named so,
too: the intake, which begins a trace for a share of the events without one, follows that.
"""

from models.tracing.span import Span, SpanKind
from models.tracing.tracer import Tracer


def begin_publish(
    tracer: Tracer, stream: str, count: int, traceparent: str | None
) -> tuple[Span | None, str]:
    """Begin the span of adding *count* entries to *stream*; None if its trace is not recorded.

    Returns with it the trace that the entries have.
    """
    if not tracer.records(traceparent):
        return None, traceparent or tracer.unrecorded()
    span = tracer.start(
        f"publish {stream}",
        SpanKind.PRODUCER,
        parent=traceparent,
        attributes={
            "messaging.system": "redis",
            "messaging.destination.name": stream,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": count,
        },
    )
    return span, span.traceparent

"""The span `publish` of a request: its entries' way onto the stream.

It is part of the caller's trace. Without one nothing begins here: the intake begins a trace for a
share of all events, through whichever channel they came, and a second lot would double it.
"""

from models.tracing.span import Span, SpanKind
from models.tracing.tracer import Tracer


def begin_publish(tracer: Tracer, stream: str, count: int, traceparent: str | None) -> Span | None:
    """Begin the span of adding *count* entries to *stream*; None if its trace is not recorded."""
    if traceparent is None or not tracer.records(traceparent):
        return None
    return tracer.start(
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

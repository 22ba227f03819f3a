"""The spans of closings: each begins a trace, with a link to that of the result a day before."""

from models.tracing.span import Span, SpanKind
from models.tracing.tracer import Tracer


class ClosingSpans:
    """Begins a span for each closing whose result's trace is recorded; ends them once committed."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: list[Span] = []

    def begin(self, traceparent: str) -> str | None:
        """Return the trace of the closing of a result with *traceparent*; None: not recorded."""
        if not self._tracer.records(traceparent):
            return None
        span = self._tracer.start(
            "close ticket",
            SpanKind.INTERNAL,
            links=[traceparent],
            attributes={"slipway.action": "ticket_closed"},
        )
        self._open.append(span)
        return span.traceparent

    def committed(self) -> None:
        """End the spans of the closings that are in the database now."""
        for span in self._open:
            span.end()
        self._open.clear()

    def rolled_back(self) -> None:
        """Forget those of closings that never were."""
        self._open.clear()

"""The spans of a batch: `receive`, and `process` for each of its events whose trace is recorded.

An event's `process` continues its publisher's trace, or begins one; the notices that it causes are
part of it. `receive` is a trace of its own with a link to each of these events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from models.events.event import Event
from models.events.stream_contract import GROUP
from models.intake.apply import Applied, DecodedBatch
from models.tracing.span import Attributes, Span, SpanKind
from models.tracing.tracer import Tracer

LINKS_MAX: Final = 128  # of one span: as many as OpenTelemetry keeps
_RELEASED: Final = "not applied: the entries are released and read again"
_LEFT: Final = "not applied: the database fails for this ticket alone"


@dataclass(frozen=True, slots=True)
class BatchSpans:
    """The spans of one batch, from its decoding on. Safe to end in another thread."""

    receive: Span | None
    process: Sequence[tuple[str | None, Span]]  # by the entry's id

    @classmethod
    def begin(
        cls, tracer: Tracer, batch: DecodedBatch, *, stream: str
    ) -> tuple[DecodedBatch, Self]:
        """Begin them; return *batch* with events that name their own span."""
        recorded = tracer.recorded(event.traceparent for event in batch.events)
        if not recorded:
            return batch, cls(None, ())
        events = list(batch.events)
        links = [link for place in recorded if (link := events[place].traceparent) is not None]
        receive = tracer.start(
            f"receive {stream}",
            SpanKind.CLIENT,
            links=links[:LINKS_MAX],
            attributes={
                **_read_from(stream),
                "messaging.operation.name": "receive",
                "messaging.operation.type": "receive",
                "messaging.batch.message_count": len(batch.entries),
            },
        )
        spans: list[tuple[str | None, Span]] = []
        for place in recorded:
            event = events[place]
            span = _process(tracer, event, receive, stream)
            spans.append((event.entry_id, span))
            events[place] = event._replace(traceparent=span.traceparent)
        return batch.with_events(events), cls(receive, spans)

    def end(self, applied: Applied | None) -> None:
        """End them as their events ended; None: nothing was applied."""
        if self.receive is None:
            return
        for entry_id, span in self.process:
            if applied is None or entry_id is None:
                span.end(error=_RELEASED)
            elif entry_id in applied.left:
                span.end(error=_LEFT)
            else:
                span.end({"slipway.outcome": applied.traced.get(entry_id, "rejected")})
        self.receive.end()


def _read_from(stream: str) -> Attributes:
    return {
        "messaging.system": "redis",
        "messaging.destination.name": stream,
        "messaging.consumer.group.name": GROUP,
    }


def _process(tracer: Tracer, event: Event, receive: Span, stream: str) -> Span:
    return tracer.start(
        f"process {stream}",
        SpanKind.CONSUMER,
        parent=event.traceparent,
        links=[receive.traceparent],
        attributes={
            **_read_from(stream),
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.message.id": event.entry_id or "",
            "slipway.operator": event.operator,
            "slipway.ticket_id": event.ticket_id,
            "slipway.event_id": event.event_id,
            "slipway.action": event.action.value,
        },
    )

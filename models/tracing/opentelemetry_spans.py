"""Spans of OpenTelemetry's SDK, exported by OTLP over HTTP. Imported only where traces are on."""

import atexit
import logging
import random
from collections.abc import Sequence
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    INVALID_TRACE_ID,
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OpenTelemetrySpan
from opentelemetry.trace import SpanKind as OpenTelemetryKind

from models.platform.version import version
from models.tracing.export_queue import ExportQueue
from models.tracing.export_settings import ExportSettings
from models.tracing.span import Attributes, SpanKind

_KINDS: Final = {kind: OpenTelemetryKind[kind.name] for kind in SpanKind}
_UNKNOWN: Final = "unknown_service"  # what the SDK calls a service that nobody has named
_LOW: Final = 64  # bits of a trace id by which samplers choose


class OpenTelemetrySpans:
    """Makes spans and exports those that end. Safe to call from any thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("slipway", version())

    @classmethod
    def exporting(cls, process: str, settings: ExportSettings) -> Self:
        """Export by the standard variables until the process ends. Begins a thread."""
        # It would log each failure, with the endpoint's text; the queue says how many were lost.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporting = _Exporting(OTLPSpanExporter(), settings)
        atexit.register(exporting.shutdown)
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # `Tracer` has decided, at a tenth of the cost
            resource=_resource(process),
            shutdown_on_exit=False,
            id_generator=_ChosenIds(settings.sampling.ratio),
        )
        provider.add_span_processor(exporting)
        return cls(provider)

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: str | None,
        links: Sequence[str],
        attributes: Attributes,
    ) -> "_RecordedSpan":
        """Begin a span now, as `models.tracing.span.SpanFactory` says."""
        context = None
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(_context(parent)))
        return _RecordedSpan(
            self._tracer.start_span(
                name,
                context=context,
                kind=_KINDS[kind],
                attributes=dict(attributes),
                links=[Link(_context(link)) for link in links],
            )
        )


class _RecordedSpan:
    """A span that has begun."""

    def __init__(self, span: OpenTelemetrySpan) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 3:02x}"
        )

    def end(self, attributes: Attributes | None = None, *, error: str | None = None) -> None:
        """End it now."""
        if attributes:
            self._span.set_attributes(dict(attributes))
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class _Exporting(SpanProcessor):
    """Puts each span that has ended into the queue."""

    def __init__(self, exporter: SpanExporter, settings: ExportSettings) -> None:
        self._exporter = exporter
        self._queue = ExportQueue[ReadableSpan](
            lambda spans: exporter.export(spans) is SpanExportResult.SUCCESS,
            size=settings.queue_size,
            batch=settings.batch_size,
            delay=settings.delay,
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Export *span* some time."""
        self._queue.add(span)

    def shutdown(self) -> None:
        """Export what waits, for seconds at most."""
        self._queue.close()
        self._exporter.shutdown()


class _ChosenIds(RandomIdGenerator):
    """Ids of traces that a sampler with this ratio would choose: others only follow it.

    Other services with `traceidratio` then record the same traces.
    """

    def __init__(self, ratio: float) -> None:
        self._bound = max(1, int(ratio * 2**_LOW))

    def generate_trace_id(self) -> int:
        """Return an id."""
        trace_id = INVALID_TRACE_ID
        while trace_id == INVALID_TRACE_ID:
            trace_id = random.getrandbits(_LOW) << _LOW | random.randrange(self._bound)  # noqa: S311 - no secret
        return trace_id

    def is_trace_id_random(self) -> bool:
        """Return whether all bits are random: the flag of a traceparent that says so."""
        return self._bound == 1 << _LOW


def _resource(process: str) -> Resource:
    """Return what the spans say about this process; the variables come first."""
    resource = Resource.create({"service.version": version()})
    if str(resource.attributes.get(SERVICE_NAME, _UNKNOWN)).startswith(_UNKNOWN):
        return resource.merge(Resource({SERVICE_NAME: f"slipway-{process}"}))
    return resource


def _context(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(
        int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )

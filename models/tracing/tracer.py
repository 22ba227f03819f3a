"""Spans as the processes make them, without OpenTelemetry: it is imported where traces are on.

A process has a `Tracer` or None. None costs nothing; a tracer costs a look at each event and, for
each one that is recorded, some 30 µs. Nothing here waits for the receiver of the spans.
"""

import logging
import os
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from models.tracing.export_settings import InvalidTraceSettings, Sampling, export_settings
from models.tracing.span import Attributes, Span, SpanFactory, SpanKind
from models.tracing.traceparent import is_sampled

log = logging.getLogger(__name__)

TRACES_NOT_EXPORTED: Final = "traces_not_exported"
_RATIO_BITS: Final = 64  # of a trace id, by which a share of all traces is chosen


class Tracer:
    """Decides which traces are recorded, and begins their spans. Safe to call from any thread."""

    def __init__(
        self,
        spans: SpanFactory,
        sampling: Sampling,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._spans = spans
        self._sampling = sampling
        self._chance = chance

    def records(self, traceparent: str | None) -> bool:
        """Return whether spans of this trace are recorded; None: of one that would begin now."""
        if traceparent is None:
            return self._chance() < self._sampling.ratio
        if self._sampling.follows_parent:
            return is_sampled(traceparent)
        low = int(traceparent[19:35], 16)
        return low < int(self._sampling.ratio * 2**_RATIO_BITS)

    def recorded(self, traceparents: Iterable[str | None]) -> list[int]:
        """Return the places of those of which `records` says so; without a call for most."""
        chance, ratio = self._chance, self._sampling.ratio
        return [
            place
            for place, traceparent in enumerate(traceparents)
            if (chance() < ratio if traceparent is None else self.records(traceparent))
        ]

    def unrecorded(self) -> str:
        """Name a trace that begins now and is not recorded, by anybody who follows its caller.

        Nor by those who choose by its id, as `records` does: it is among the others.
        """
        high = random.getrandbits(_RATIO_BITS) | 1  # not all zeros, which name nothing
        low = random.randrange(int(self._sampling.ratio * 2**_RATIO_BITS), 2**_RATIO_BITS)  # noqa: S311 - no secret
        return f"00-{high:016x}{low:016x}-{random.getrandbits(_RATIO_BITS) | 1:016x}-00"

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: str | None = None,
        links: Sequence[str] = (),
        attributes: Attributes,
    ) -> Span:
        """Begin a span of a trace that is recorded."""
        return self._spans.start(name, kind, parent=parent, links=links, attributes=attributes)


def open_tracer(process: str) -> Tracer | None:
    """Return the tracer of this *process*, or None if no traces are exported.

    By OpenTelemetry's standard variables, which the exporter reads as well. What is wrong with them
    is logged: a process works without its traces.
    """
    try:
        settings = export_settings(os.environ)
        if settings is None:
            return None
        from models.tracing.opentelemetry_spans import (  # noqa: PLC0415 - imports OpenTelemetry: not where it is off
            OpenTelemetrySpans,
        )

        return Tracer(OpenTelemetrySpans.exporting(process, settings), settings.sampling)
    except InvalidTraceSettings as problem:
        log.warning(TRACES_NOT_EXPORTED, extra={"problem": str(problem)})
    except Exception:  # the exporter reads variables and files of its own
        log.exception(TRACES_NOT_EXPORTED)
    return None

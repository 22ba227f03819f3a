"""What a span is to the processes, whatever makes and exports it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

Attributes = Mapping[str, str | int | bool]


class SpanKind(StrEnum):
    """What a span is to the one before it, in OpenTelemetry's words."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    CLIENT = "client"
    INTERNAL = "internal"


class Span(Protocol):
    """Something that takes time. It is exported once it has ended, and not without."""

    @property
    def traceparent(self) -> str:
        """What happens because of it names it by this."""
        ...

    def end(self, attributes: Attributes | None = None, *, error: str | None = None) -> None:
        """End it now. *error*: why it failed, in our own words."""
        ...


class SpanFactory(Protocol):
    """Makes spans; `models.tracing.opentelemetry_spans` does, once it is imported."""

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: str | None,
        links: Sequence[str],
        attributes: Attributes,
    ) -> Span:
        """Begin a span now; without *parent* it begins a trace."""
        ...

"""A receiver of traces by OTLP over HTTP: real sockets, the protobuf decoded; it can misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Habit = Literal["takes", "refuses", "hangs"]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it arrived; ids in hexadecimal."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]  # trace ids
    attributes: dict[str, str | int | bool]
    failed: bool


@dataclass(slots=True)
class OtlpReceiver:
    """What arrived. *habit*: what it does with a request from now on."""

    url: str = ""
    habit: Habit = "takes"
    requests: int = 0
    over: threading.Event = field(default_factory=threading.Event)  # ends what hangs
    _spans: list[ReceivedSpan] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spans(self, *, trace_id: str | None = None, name: str | None = None) -> list[ReceivedSpan]:
        """Return the spans of a trace, or of a name, in the order in which they arrived."""
        with self._lock:
            return [
                span
                for span in self._spans
                if trace_id in (None, span.trace_id) and name in (None, span.name)
            ]

    def receive(self, body: bytes) -> int:
        """Keep what a request holds; return the status of its response."""
        with self._lock:
            self.requests += 1
        if self.habit == "hangs":
            self.over.wait()
        if self.habit != "takes":
            return 400  # not tried again
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self._spans += _spans_in(request)
        return 200


def _spans_in(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for group in request.resource_spans:
        names = {each.key: each.value.string_value for each in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    service=names["service.name"],
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple(link.trace_id.hex() for link in span.links),
                    attributes={
                        each.key: getattr(each.value, each.value.WhichOneof("value") or "")
                        for each in span.attributes
                    },
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                )


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Run one."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.send_response(receiver.receive(body))
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                pass  # the sender has given up

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

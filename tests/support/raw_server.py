"""A server that speaks plain sockets, so that a test decides about every byte and every silence."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HEARD_MAX = 1_000_000  # bytes of one request
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECONDS_MAX = 60.0  # that anything here waits


@dataclass(slots=True)
class Line:
    """One connection, seen from the server."""

    connection: socket.socket
    over: threading.Event  # set when the test is over

    def request(self) -> bytes | None:
        """Read one request with a body, head and all; None when the client hung up instead."""
        received = b""
        while b"\r\n\r\n" not in received:
            part = self.connection.recv(HEARD_MAX)
            if not part:
                return None
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += self.connection.recv(HEARD_MAX)
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def keep_silent(self) -> None:
        """Send nothing more, and keep the connection open."""
        self.over.wait(SECONDS_MAX)

    def reset(self) -> None:
        """Close with a reset: RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


Conversation = Callable[[Line], None]


@dataclass(slots=True)
class RawServer:
    """What a test sees of the server."""

    port: int
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"


@contextmanager
def raw_server(converse: Conversation, *, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Serve: *converse* holds one conversation per connection, in a thread of its own."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(listener.getsockname()[1], "https" if tls else "http")

        def hold(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # what the client does is the test's business
                connection.settimeout(SECONDS_MAX)
                spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
                connections.append(spoken)
                with spoken:
                    converse(Line(spoken, over))

        def accept() -> None:
            with suppress(OSError):  # the listener was closed
                while True:
                    connection, _ = listener.accept()
                    server.connections += 1
                    threads.append(threading.Thread(target=hold, args=[connection], daemon=True))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        try:
            yield server
        finally:
            over.set()
            for end in (listener, *connections):
                with suppress(OSError):  # it was closed already
                    end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(SECONDS_MAX)


def say(answer: bytes) -> Conversation:
    """Answer every request of a connection."""

    def converse(line: Line) -> None:
        while line.request() is not None:
            line.send(answer)

    return converse


def then(*acts: Callable[[Line], object]) -> Conversation:
    """Read a request, act, and close the connection."""

    def converse(line: Line) -> None:
        line.request()
        for act in acts:
            act(line)

    return converse


def sending(data: bytes) -> Conversation:
    """Send *data*: an act for `then`."""
    return lambda line: line.send(data)

"""A partner that costs next to nothing: it says 200 to every request and counts them.

Where it is asked to, it keeps when each came, too.
"""

import multiprocessing
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STARTING_SECONDS_MAX = 30.0
_READ_BYTES = 65_536
_LENGTH = b"content-length:"
_CLOSED = b'"ticket_closed"'


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink in a process of its own."""

    url: str
    _line: Connection

    def receipts(self) -> list[tuple[float, bytes]]:
        """What came since the last time it was asked: Unix time, and the body. If it keeps them."""
        self._line.send("receipts")
        receipts: list[tuple[float, bytes]] = self._line.recv()
        return receipts

    def counts(self) -> "Counts":
        """How many came since it was opened."""
        self._line.send("counts")
        counts: Counts = self._line.recv()
        return counts


@dataclass(slots=True)
class Counts:
    """How many requests a sink has taken, and how many of them were `ticket_closed`."""

    requests: int = 0
    closed: int = 0


@contextmanager
def open_sink(*, keep: bool = False) -> Iterator[Sink]:
    """Run one until the block ends. *keep*: what came, until it is asked for."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs, keep), daemon=True)
    process.start()
    try:
        assert ours.poll(STARTING_SECONDS_MAX), "the sink did not start"
        yield Sink(f"http://127.0.0.1:{ours.recv()}/hook", ours)
    finally:
        process.kill()
        process.join()


def _serve(line: Connection, keep: bool) -> None:  # noqa: FBT001 - a process takes positions
    """Answer until killed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.settimeout(0)
    selector = selectors.EpollSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(line, selectors.EVENT_READ)
    line.send(listener.getsockname()[1])
    ledger = _Ledger(keep)
    left: dict[socket.socket, bytes] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                caller, _address = listener.accept()
                caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(caller, selectors.EVENT_READ)
                left[caller] = b""
            elif key.fileobj is line:
                line.send(ledger.counts if line.recv() == "counts" else ledger.receipts())
            else:
                assert isinstance(key.fileobj, socket.socket)
                _receive(key.fileobj, selector, left, ledger)


class _Ledger:
    """What came."""

    def __init__(self, keep: bool) -> None:  # noqa: FBT001 - as above
        self.counts = Counts()
        self._keep = keep
        self._kept: list[tuple[float, bytes]] = []

    def write(self, body: bytes) -> None:
        self.counts.requests += 1
        self.counts.closed += _CLOSED in body
        if self._keep:
            self._kept.append((time.time(), body))

    def receipts(self) -> list[tuple[float, bytes]]:
        assert self._keep, "this one only counts"
        receipts, self._kept = self._kept, []
        return receipts


def _receive(
    caller: socket.socket,
    selector: selectors.BaseSelector,
    unread: dict[socket.socket, bytes],
    ledger: _Ledger,
) -> None:
    try:
        part = caller.recv(_READ_BYTES)
    except ConnectionError:
        part = b""
    if not part:
        selector.unregister(caller)
        del unread[caller]
        caller.close()
        return
    left = unread[caller] + part
    while (end := left.find(b"\r\n\r\n")) >= 0:
        head = left[:end].lower()
        place = head.find(_LENGTH)
        size = int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(left) < end + 4 + size:
            break
        ledger.write(left[end + 4 : end + 4 + size])
        left = left[end + 4 + size :]
        caller.send(ANSWER)
    unread[caller] = left

"""A line to a server that a test can cut: for one process the server is away, for others not."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Lock, Thread

PART_BYTES = 64 * 1024
ENDING_SECONDS_MAX = 60.0


class Line:
    """Hands on what comes to `port` to a server, and back, until it is cut."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._ear = socket.create_server(("127.0.0.1", 0))
        self._lock = Lock()
        self._is_cut = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []  # client's end, server's end
        self._thread = Thread(target=self._welcome, name="line", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where clients connect to, on this machine."""
        port: int = self._ear.getsockname()[1]
        return port

    def seen_from(self) -> list[int]:
        """The ports from which the server sees the open connections come."""
        with self._lock:
            return [theirs.getsockname()[1] for _, theirs in self._pairs]

    def cut(self) -> None:
        """Break every connection, and each new one, until `restore`."""
        with self._lock:
            self._is_cut = True
            for pair in self._pairs:
                for end in pair:
                    _break(end)

    def restore(self) -> None:
        """Let new connections through."""
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        _break(self._ear)
        self._ear.close()
        self._thread.join(ENDING_SECONDS_MAX)

    def _welcome(self) -> None:
        while True:
            try:
                ours, _ = self._ear.accept()
            except OSError:
                return  # closed
            with self._lock:
                if self._is_cut:
                    ours.close()
                    continue
                pair = ours, socket.create_connection(self._server)
                self._pairs.append(pair)
            Thread(target=self._carry, args=[pair], name="line", daemon=True).start()

    def _carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, theirs = pair
        back = Thread(target=_pump, args=[theirs, ours], name="line", daemon=True)
        back.start()
        _pump(ours, theirs)
        back.join()
        with self._lock:
            self._pairs.remove(pair)
            ours.close()
            theirs.close()


@contextmanager
def line_to(host: str, port: int) -> Iterator[Line]:
    """Lay a line to a server, whole at first; it is gone when the block ends."""
    with closing(Line((host, port))) as line:
        yield line


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry one direction until either end is gone; then both are."""
    with suppress(OSError):
        while part := source.recv(PART_BYTES):
            target.sendall(part)
    _break(source)
    _break(target)


def _break(end: socket.socket) -> None:
    with suppress(OSError):  # it is broken already
        end.shutdown(socket.SHUT_RDWR)

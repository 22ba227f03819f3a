"""A proxy over real sockets that opens connections (HTTP CONNECT), or refuses to, as a test wants.

It notes what it was asked for, and the bytes that went through.
"""

import select
import socket
import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.support.raw_server import SECONDS_MAX, Line, raw_server
from tests.support.wait import eventually

_PART: Final = 65_536


@dataclass(slots=True)
class ConnectProxy:
    """What a test sees of the proxy, and sets."""

    port: int = 0
    scheme: str = "http"
    credentials: str | None = None  # user:password that it asks for
    status: str = "200 Connection established"  # with which it answers those it lets in
    names: dict[str, str] = field(default_factory=dict)  # its own name service
    ended: int = 0  # connections that are over
    heads: list[str] = field(default_factory=list)  # of all requests
    passed: bytearray = field(default_factory=bytearray)  # what clients sent through it

    @property
    def address(self) -> str:
        """Its address, without credentials."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """Which hosts and ports it was asked for."""
        return [head.split(" ")[1] for head in self.heads]

    def wait_for_ends(self, number: int) -> None:
        """Wait until *number* connections are over."""
        eventually(lambda: self.ended == number)

    def serve(self, client: socket.socket) -> None:
        """Serve one connection."""
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(1)):
                return
            head += part
        self.heads.append(head.decode())
        if self.credentials is not None and _credentials(head) != self.credentials:
            page = b"secret page of the proxy"
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic"
                b' realm="p"\r\nContent-Length: %d\r\n\r\n' % len(page) + page
            )
            return
        client.sendall(f"HTTP/1.1 {self.status}\r\nVia: 1.1 proxy\r\n\r\n".encode())
        if not self.status.startswith("200"):
            return
        host, _, port = self.targets[-1].rpartition(":")
        host = self.names.get(host, host).strip("[]")
        with socket.create_connection((host, int(port)), timeout=SECONDS_MAX) as server:
            self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [], SECONDS_MAX)
            for end in ready:
                part = end.recv(_PART)
                if not part:
                    return
                if end is client:
                    self.passed += part
                (server if end is client else client).sendall(part)


@contextmanager
def connect_proxy(*, tls: ssl.SSLContext | None = None) -> Iterator[ConnectProxy]:
    """Run the proxy, which speaks TLS itself if it has a context for it."""
    proxy = ConnectProxy()

    def hold(line: Line) -> None:
        try:
            proxy.serve(line.connection)
        finally:
            line.connection.close()
            proxy.ended += 1

    with raw_server(hold, tls=tls) as server:
        proxy.port, proxy.scheme = server.port, server.scheme
        yield proxy


def _credentials(head: bytes) -> str | None:
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "proxy-authorization":
            return b64decode(value.strip().removeprefix("Basic ")).decode()
    return None

"""Requests that begin and do not go on, as slow clients and those who mean harm send them."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import select
from urllib.parse import urlsplit

from tests.support.wait import eventually

LENGTH = 100  # of the body, of which one byte is sent
STATUS = slice(9, 12)  # of a response's first line


@contextmanager
def slow_headers(url: str, path: str, **headers: str) -> Iterator[socket.socket]:
    """A request whose headers have no end."""
    address = urlsplit(url)
    lines = {"Host": address.netloc, "Content-Length": str(LENGTH), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\n{head}".encode())
        yield line


@contextmanager
def slow_body(url: str, path: str, **headers: str) -> Iterator[socket.socket]:
    """A request of which all is sent but the body after its first byte."""
    with slow_headers(url, path, **headers) as line:
        line.sendall(b"\r\n{")
        yield line


def send_rest(line: socket.socket) -> bytes:
    """Send what the body lacks; return the status of the response."""
    line.sendall(b" " * (LENGTH - 1))
    return status_of(line)


def status_of(line: socket.socket) -> bytes:
    """Return the status of the response, once it is there."""
    return line.recv(4096)[STATUS]


def answered(lines: Sequence[socket.socket], number: int) -> list[socket.socket]:
    """Return those that got a response, once that is *number* of them."""
    return eventually(
        lambda: ready if len(ready := select(lines, [], [], 0.1)[0]) == number else []
    )

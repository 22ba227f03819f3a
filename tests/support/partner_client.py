"""Speaking to a simulated partner as Slipway does, and on bare sockets."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from models.platform.signing import sign
from producers.simulation.partner import SimulatedPartner

SECRET = "12345ABCDE"
SILENCE = 0.2  # seconds after which silence counts as such


@contextmanager
def line_to(partner: SimulatedPartner) -> Iterator[http.client.HTTPConnection]:
    """Keep one connection to *partner*."""
    connection = http.client.HTTPConnection("127.0.0.1", partner.port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def notice(action: str = "ticket_win", *, ticket: str = "1330556611374148608") -> bytes:
    data = {"operator": "operator-code", "ticket_id": ticket}
    return json.dumps({"action": action, "data": data}, separators=(",", ":")).encode()


def headers(body: bytes, *, key: str | None = None, secret: str = SECRET) -> dict[str, str]:
    timestamp = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the partner checks its age
    signed = {
        "timestamp": str(timestamp),
        "signature": sign(body, timestamp=timestamp, secret=secret),
    }
    return signed if key is None else signed | {"Idempotency-Key": key}


def send(line: http.client.HTTPConnection, body: bytes, *, key: str | None = None) -> int:
    line.request("POST", "/", body, headers(body, key=key))
    response = line.getresponse()
    response.read()
    return response.status


def ask(line: http.client.HTTPConnection, method: str, path: str, body: object = None) -> bytes:
    line.request(method, path, None if body is None else json.dumps(body))
    return line.getresponse().read()


def raw_request(body: bytes) -> bytes:
    """Format a notice with its head."""
    head = [f"{name}: {value}" for name, value in headers(body).items()]
    lines = ["POST / HTTP/1.1", "Host: partner", f"Content-Length: {len(body)}", *head]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def raw_exchange(partner: SimulatedPartner, body: bytes) -> Iterator[socket.socket]:
    """Send a notice on a bare socket and leave the answer to be read."""
    with socket.create_connection(("127.0.0.1", partner.port), timeout=30) as connection:
        connection.sendall(raw_request(body))
        yield connection


def read_until_silence(connection: socket.socket) -> tuple[bytes, bool]:
    """Return what came, and whether the partner closed the connection (else it fell silent)."""
    connection.settimeout(SILENCE)
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except TimeoutError:
        return received, False
    return received, True

"""HTTP/1.1 on bare sockets, as little as a partner needs and strict about that.

Written by hand because this partner must be able to misbehave at each point of an exchange.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from http import HTTPStatus

from producers.simulation.partner.behaviour import Respond

HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 64
BODY_BYTES_MAX = 1024 * 1024
IDLE_SECONDS_MAX = 75.0  # between two requests of a connection
REQUEST_SECONDS_MAX = 30.0  # for the body, once the head is there

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,4096}) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_LENGTH = re.compile(r"[0-9]{1,12}")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Malformed(Exception):
    """The request is not one this partner reads: answer with `status`, then close."""

    def __init__(self, status: int, words: str) -> None:
        """Keep the status to answer with; *words* say what is wrong."""
        self.status = status
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came. Header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_last(self) -> bool:
        """The client wants the connection closed after the answer."""
        return (self.header("connection") or "").lower() == "close"


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ReceivedRequest | None:
    """Read one request; None when the client has left, or sent nothing for 75 s.

    Raises `Malformed` for whatever is not a plain HTTP/1.1 request with a `Content-Length` of at
    most 1 MiB and a head of at most 16 KiB, and TimeoutError for a body that does not come.
    """
    try:
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, TimeoutError):
        return None
    except asyncio.LimitOverrunError as cause:
        raise Malformed(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the head is longer than {HEAD_BYTES_MAX} bytes",
        ) from cause
    method, target, headers = _parse_head(head)
    request = ReceivedRequest(method, target, headers, b"")
    length = _length(request)
    if not length:
        return request
    if (request.header("expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            body = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
    return ReceivedRequest(method, target, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    first, *lines = head[:-4].split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise Malformed(HTTPStatus.BAD_REQUEST, "the first line is not METHOD TARGET HTTP/1.1")
    if len(lines) > HEADERS_MAX:
        raise Malformed(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEADERS_MAX} headers"
        )
    headers = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Malformed(HTTPStatus.BAD_REQUEST, "a header line is not NAME: VALUE")
        name, value = header[1].decode("latin-1"), header[2].decode("latin-1")
        headers.append((name.lower(), value.rstrip(" \t")))
    return request_line[1].decode("ascii"), request_line[2].decode("ascii"), tuple(headers)


def _length(request: ReceivedRequest) -> int:
    if request.header("transfer-encoding") is not None:
        raise Malformed(
            HTTPStatus.NOT_IMPLEMENTED, "send a Content-Length; Transfer-Encoding is not read here"
        )
    lengths = {value for name, value in request.headers if name == "content-length"}
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise Malformed(HTTPStatus.BAD_REQUEST, "Content-Length is not one number")
    length = int(next(iter(lengths), 0))
    if length > BODY_BYTES_MAX:
        raise Malformed(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {length} bytes, the most is {BODY_BYTES_MAX}",
        )
    return length


def head_of_answer(
    status: int,
    *,
    length: int,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Write the status line and headers of an answer whose body has *length* bytes."""
    lines = [
        f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unnamed')}",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def refusal(status: int, words: str) -> Respond:
    """Make the answer to what no partner would take, in words."""
    told = json.dumps({"code": int(status), "message": words})
    return Respond(int(status), body=told.encode())

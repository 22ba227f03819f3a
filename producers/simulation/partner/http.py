"""HTTP/1.1 for the simulated partner: h11 parses requests, responses are written as raw bytes.

Responses are written by hand because the partner must be able to misbehave at any byte of one.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from http import HTTPStatus

import h11

from producers.simulation.partner.behaviour import Respond

HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 64
BODY_BYTES_MAX = 1024 * 1024
IDLE_SECONDS_MAX = 75.0  # between two requests on a connection
BODY_SECONDS_MAX = 30.0  # for the body, once the head has arrived

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class MalformedRequest(Exception):
    """The partner does not accept this request: respond with `status`, then close."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status of the response; *message* says what is wrong."""
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as received. Header names are lower-case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_last(self) -> bool:
        """Whether the client wants the connection closed after the response."""
        return (self.header("connection") or "").lower() == "close"


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ReceivedRequest | None:
    """Read one request. Returns None if the client has left, or sent nothing for 75 s.

    Raises `MalformedRequest` for anything but an HTTP/1.1 request with a `Content-Length` of at
    most 1 MiB and a head of at most 16 KiB, and TimeoutError if the body does not arrive.
    """
    try:
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, TimeoutError):
        return None
    except asyncio.LimitOverrunError as cause:
        raise MalformedRequest(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the head is longer than {HEAD_BYTES_MAX} bytes",
        ) from cause
    request = _parse_head(head)
    length = _content_length(request)
    if not length:
        return request
    if (request.header("expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            body = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
    return replace(request, body=body)


def _parse_head(head: bytes) -> ReceivedRequest:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(head)
    try:
        request = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise MalformedRequest(error.error_status_hint, str(error)) from error
    # h11 also accepts a bare LF as a line ending; the head then ended earlier for h11 than here.
    if not isinstance(request, h11.Request) or parser.trailing_data[0]:
        raise MalformedRequest(HTTPStatus.BAD_REQUEST, "lines must end with CRLF")
    if request.http_version != b"1.1":
        raise MalformedRequest(HTTPStatus.BAD_REQUEST, "only HTTP/1.1 is supported")
    if len(request.headers) > HEADERS_MAX:
        raise MalformedRequest(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEADERS_MAX} headers"
        )
    return ReceivedRequest(
        method=request.method.decode("ascii"),
        target=request.target.decode("latin-1"),
        headers=tuple(
            (name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers
        ),
        body=b"",
    )


def _content_length(request: ReceivedRequest) -> int:
    if request.header("transfer-encoding") is not None:
        raise MalformedRequest(
            HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding is not supported: send a Content-Length"
        )
    length = int(request.header("content-length") or 0)  # one number: h11 has checked it
    if length > BODY_BYTES_MAX:
        raise MalformedRequest(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {length} bytes; the maximum is {BODY_BYTES_MAX}",
        )
    return length


def response_head(
    status: int,
    *,
    length: int | None,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    version: str = "1.1",
) -> bytes:
    """Format the status line and headers of a response whose body has *length* bytes.

    None: nothing announces its end. A 204 has no body, so nothing is said of one (RFC 9110, 8.6).
    """
    about_body = [f"Content-Type: {content_type}"]
    if length is not None:
        about_body.append(f"Content-Length: {length}")
    lines = [
        f"HTTP/{version} {status} {_PHRASES.get(status, 'Unnamed')}",
        *(about_body if status != HTTPStatus.NO_CONTENT else ()),
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def error_response(status: int, message: str) -> Respond:
    """Build the response to a request that no partner accepts."""
    body = json.dumps({"code": int(status), "message": message})
    return Respond(int(status), body=body.encode())

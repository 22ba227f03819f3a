"""Responses in the form of servers with odd but lawful habits."""

import gzip
import zlib
from codecs import BOM_UTF8

from producers.simulation.partner.behaviour import Habit, Respond
from producers.simulation.partner.http import response_head

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
FRAMED_BY_CLOSE = frozenset({Habit.HTTP_1_0, Habit.FRAMED_BY_CLOSE})
UNFRAMED = FRAMED_BY_CLOSE | {Habit.TRAILERS}  # they announce no length


def write(response: Respond) -> bytes:
    """Return the bytes of *response*, in the form of its habit."""
    body, headers = _body(response), response.headers
    if response.habit in (Habit.GZIP, Habit.DEFLATE):
        headers = (*headers, ("Content-Encoding", response.habit.value))
    if response.habit is Habit.TRAILERS:
        headers = (*headers, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Checksum"))
    head = response_head(
        response.status,
        length=None if response.habit in UNFRAMED else len(body),
        content_type=response.content_type,
        headers=headers,
        version="1.0" if response.habit is Habit.HTTP_1_0 else "1.1",
    )
    match response.habit:
        case Habit.INTERIM:
            return INTERIM + head + body
        case Habit.TRAILERS:
            part = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            return head + part + b"0\r\nX-Checksum: 4711\r\n\r\n"
        case _:
            return head + body


def _body(response: Respond) -> bytes:
    match response.habit:
        case Habit.GZIP:
            return gzip.compress(response.body, mtime=0)
        case Habit.DEFLATE:
            return zlib.compress(response.body)
        case Habit.BYTE_ORDER_MARK:
            return BOM_UTF8 + response.body
        case Habit.UTF_16:
            return response.body.decode().encode("utf-16")
        case _:
            return response.body

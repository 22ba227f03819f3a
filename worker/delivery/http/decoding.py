"""Makes the body of a response readable: without compression, and in UTF-8.

Slipway asks for no compression and sends UTF-8, and some servers do as they please. What can be
read is read, and never to more bytes than any other body may have, so a small body that unpacks to
gigabytes costs no more than they do. A text is one, whatever compression its header names. What
cannot be read stays as it came; the status counts.
"""

import json
import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from worker.delivery.http.exchange import HttpResponse

UTF_16: Final = "utf_16"  # among the repairs of a response
_UTF_16: Final = frozenset({"utf-16", "utf-16-le", "utf-16-be"})
_NO_COMPRESSION: Final = frozenset({"", "identity"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAGIC: Final = {_GZIP_MAGIC: "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MAGICS: Final = tuple(_MAGIC)
_MEMBERS_MAX: Final = 16  # of one body; more than one is rare
# Only these are named in a problem: a header may hold anything.
_NAMED: Final = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
# `deflate` is zlib's format (RFC 9110, 8.4.1.2), but some servers send it bare.
_DEFLATE_WINDOWS: Final = (zlib.MAX_WBITS, -zlib.MAX_WBITS)
_TEXT_BEGINNINGS: Final = (b"{", b"[", b"<", b'"')
# In a text only blanks of these; in what is compressed they are everywhere.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UTF_8_DECODER: Final = getincrementaldecoder("utf-8")


def is_plain(response: HttpResponse) -> bool:
    """Return whether nothing has to be done about the body, as nearly always."""
    body = response.body
    return response.encoding is None and b"\0" not in body[:4] and not body.startswith(_MAGICS)


def decoded(response: HttpResponse, *, bytes_max: int) -> HttpResponse:
    """Return *response* with its body unpacked and in UTF-8, as far as that can be read.

    `encoding` remains only where the body is still compressed. A body that is longer than
    *bytes_max* when it is unpacked is truncated there.
    """
    if is_plain(response):
        return response
    return _in_utf_8(_unpacked(response, bytes_max), bytes_max)


def compression_of(response: HttpResponse) -> str | None:
    """Name the compression in which the body still is; None if it is in none."""
    if response.encoding is None and not response.body.startswith(_MAGICS):
        return None
    for magic, name in _MAGIC.items():
        if response.body.startswith(magic):
            return name
    name = _coding(response)
    if name in _NO_COMPRESSION:
        return None
    return name if name in _NAMED else "unknown"


def _unpacked(response: HttpResponse, bytes_max: int) -> HttpResponse:
    body = response.body
    for window in _windows(_coding(response), body):
        try:
            plain, is_whole = _inflate(body, window, bytes_max)
        except zlib.error:
            continue
        # Its own end is missing: only where we cut it off is its beginning worth anything.
        if is_whole or response.truncated or len(plain) > bytes_max:
            return replace(
                response,
                body=plain[:bytes_max],
                truncated=response.truncated or len(plain) > bytes_max,
                encoding=None,
            )
    is_named = _coding(response) not in _NO_COMPRESSION
    if _is_packed(body) or (is_named and not _is_text(body, truncated=response.truncated)):
        return response
    return replace(response, encoding=None)


def _windows(coding: str, body: bytes) -> Iterator[int]:
    """Yield how zlib may read *body*; not at all what is plainly a text, whatever its header."""
    if body.startswith(_GZIP_MAGIC):
        yield _GZIP_WINDOW
    elif coding == "deflate" and not body.lstrip().startswith(_TEXT_BEGINNINGS):
        yield from _DEFLATE_WINDOWS


def _inflate(body: bytes, window: int, bytes_max: int) -> tuple[bytes, bool]:
    """Unpack at most a byte more than *bytes_max*; returns whether it came to its own end.

    gzip may consist of several members. Raises zlib.error if it is damaged.
    """
    plain, rest = b"", body
    for _ in range(_MEMBERS_MAX):
        packed = zlib.decompressobj(window)
        plain += packed.decompress(rest, bytes_max + 1 - len(plain))
        if not packed.eof:
            return plain, False
        rest = packed.unused_data
        is_last = window != _GZIP_WINDOW or not rest.startswith(_GZIP_MAGIC)
        if is_last or len(plain) > bytes_max:
            return plain, True
    return plain, False


def _in_utf_8(response: HttpResponse, bytes_max: int) -> HttpResponse:
    """Turn UTF-16 into UTF-8, with or without a mark for its order of bytes."""
    if compression_of(response) is not None or b"\0" not in response.body[:4]:
        return response
    charset = json.detect_encoding(response.body)
    if charset not in _UTF_16:
        return response
    body = response.body.decode(charset, "replace").encode()
    return replace(
        response,
        body=body[:bytes_max],
        truncated=response.truncated or len(body) > bytes_max,
        repairs=(*response.repairs, UTF_16),
    )


def _coding(response: HttpResponse) -> str:
    return (response.encoding or "").strip().lower()


def _is_text(body: bytes, *, truncated: bool) -> bool:
    """Return whether *body* is plainly a text in UTF-8, perhaps an empty one."""
    try:
        _UTF_8_DECODER().decode(body, final=not truncated)  # half a character may be at a cut
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(body) is None


def _is_packed(body: bytes) -> bool:
    return body.startswith(_MAGICS)

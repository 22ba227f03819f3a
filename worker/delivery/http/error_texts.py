"""What went wrong on the wire, in words for the person who reads the attempt."""

from collections.abc import Mapping, Sequence
from typing import Final

import pycurl

_CHARS_MAX: Final = 300
_SETTINGS_FRAME: Final = 4  # of HTTP/2: the first that a server sends, at byte 3
_FRAME_TYPE_AT: Final = 3
# In pycurl's words, what it says of itself would puzzle; of some it says nothing.
_PROBLEMS: Final[Mapping[int, str]] = {
    pycurl.E_SEND_FAIL_REWIND: "the connection was closed before an answer came",
    100: "the headers of the answer are too large",  # CURLE_TOO_LARGE, which pycurl does not name
}
_ONE_ONLY: Final = "the partner accepts HTTP/2 only; Slipway calls over HTTP/1.1"
# OpenSSL's words, and GnuTLS' in distributions that build with it.
_UNENDED: Final = ("unexpected eof while reading", "non-properly terminated")


def problem(code: int, message: str) -> str:
    """Say what libcurl's error means; never an empty text."""
    if "application protocol" in message:  # TLS: there is none that both know (ALPN)
        return f"{_ONE_ONLY} ({message})"[:_CHARS_MAX]
    return _PROBLEMS.get(code, message)[:_CHARS_MAX] or f"libcurl gave up with its error {code}"


def not_http(beginning: bytes) -> str:
    """Say what an answer is that has no status line."""
    if beginning[_FRAME_TYPE_AT : _FRAME_TYPE_AT + 1] == bytes([_SETTINGS_FRAME]):
        return f"answered in HTTP/2: {_ONE_ONLY}"
    return "the answer is not HTTP/1.1: it has no status line"


def refused(addresses: Sequence[str]) -> str:
    """Say that *addresses*, to which the partner's name leads, were not connected to."""
    first, *others = addresses
    more = f", nor is {', '.join(others)}" if others else ""
    return (
        f"the address {first} is not public{more}; if the partner may live there, name its network"
        " in SLIPWAY_PARTNER_NETWORKS"
    )


def is_unended(code: int, message: str) -> bool:
    """Say whether TLS ended without its closing message (close_notify), as if it were cut off."""
    return code == pycurl.E_RECV_ERROR and any(words in message for words in _UNENDED)

"""The head of a response, line by line as libcurl hands it over, and what in it matters.

Each line is a call from libcurl, and a partner's head has a dozen: so a line is only kept, and read
once the response is over. As many are kept as are stored of a response that is no plain success.
"""

import re
from typing import Final

_RETRY_AFTER: Final = b"retry-after:"
_ENCODING: Final = b"content-encoding:"
_FRAMING: Final = (b"content-length:", b"transfer-encoding:")
_MATTER: Final = (_RETRY_AFTER, _ENCODING, *_FRAMING)
_NAME_BYTES_MAX: Final = 20  # only so much of a header's name matters
_END: Final = (b"\r\n", b"\n")
_END_BYTES_MAX: Final = 2
_STATUS_LINE: Final = b"HTTP/"
_RESET_CONTENT: Final = re.compile(rb"HTTP/1\.\d +205\b")
_LINES_MAX: Final = 64
_BYTES_MAX: Final = 4096  # of all lines that are kept
_STOP: Final = -1  # any number but that of the bytes offered stops the transfer


class ResponseHead:
    """What came of it so far. For one response at a time; `clear` makes it ready for the next."""

    __slots__ = (
        "_between",
        "_omitted_that_matter",
        "_resets_content",
        "_room",
        "ended",
        "has_no_body",
        "lines",
        "omitted",
    )

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the response. Its lines stay with the one that has them."""
        self.has_no_body = False  # the response is whole without a body
        self._begin()
        self._between = True  # no head has begun, or it has ended

    def take(self, line: bytes) -> int | None:
        """Keep *line*. Returns what stops the transfer where the head is all of the response."""
        if len(line) <= _END_BYTES_MAX and line in _END:
            return self._end()
        if self._between:
            if line[: len(_STATUS_LINE)].upper() == _STATUS_LINE:
                self._begin(line)
                return None
            if self.ended:  # a trailer says nothing about how to read what it follows
                return None
        if len(line) <= self._room and len(self.lines) < _LINES_MAX:
            self.lines.append(line)
            self._room -= len(line)
        else:
            self._omit(line)
        return None

    @property
    def has_framing(self) -> bool:
        """Whether it says where the body ends."""
        return any(self._value(name) is not None for name in _FRAMING)

    @property
    def retry_after(self) -> str | None:
        """The header as it came; the last one, if there are several."""
        return self._value(_RETRY_AFTER)

    @property
    def encoding(self) -> str | None:
        """How the body is compressed, as it came."""
        return self._value(_ENCODING)

    def _begin(self, status_line: bytes = b"") -> None:
        """Forget the head of an interim response: nothing in it is about the one that follows."""
        self._between = False
        self.ended = False  # it is complete
        self.lines: list[bytes] = []
        self.omitted = 0  # beyond the limits
        self._omitted_that_matter: list[bytes] = []
        self._room = _BYTES_MAX
        self._resets_content = _RESET_CONTENT.match(status_line) is not None

    def _end(self) -> int | None:
        """Stop after a 205 that announces no body: it has none (RFC 9110, 15.3.6).

        libcurl would wait until the connection is closed, and a kept one is not.
        """
        self.ended = self._between = True
        self.has_no_body = self._resets_content and not self.has_framing
        return _STOP if self.has_no_body else None

    def _omit(self, line: bytes) -> None:
        self.omitted += 1
        if line[:_NAME_BYTES_MAX].lower().startswith(_MATTER):
            self._omitted_that_matter.append(line)

    def _value(self, name: bytes) -> str | None:
        lines = [*self.lines, *self._omitted_that_matter]
        if name not in b"".join(lines).lower():  # as nearly always
            return None
        values = [line[len(name) :] for line in lines if line[: len(name)].lower() == name]
        return values[-1].decode("latin-1").strip() if values else None

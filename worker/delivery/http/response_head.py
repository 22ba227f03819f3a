"""The head of a response, made of the lines that libcurl handed over, and what in it matters.

Each line is a call from libcurl, and a partner's head has a dozen: so the lines go into a list
without a function of ours, and are read once the response is over. libcurl refuses a head of more
than 300 KB. As many of its lines are kept as are stored of a response that is no plain success.
"""

import re
from collections.abc import Sequence
from typing import Final, Self

from models.platform.made_often import made_often

_RETRY_AFTER: Final = b"retry-after:"
_ENCODING: Final = b"content-encoding:"
_FRAMING: Final = (b"content-length:", b"transfer-encoding:")
_END: Final = (b"\r\n", b"\n")
_STATUS_LINE: Final = b"HTTP/"
_RESET_CONTENT: Final = re.compile(rb"HTTP/1\.\d +205\b", re.IGNORECASE)
_LINES_MAX: Final = 64
_BYTES_MAX: Final = 4096  # of all lines that are kept


def has_ended(lines: Sequence[bytes]) -> bool:
    """Return whether *lines* end with that of a head, perhaps an interim one."""
    return bool(lines) and lines[-1] in _END


@made_often
class ResponseHead:
    """What a response says before its body. *ended*: the head is complete."""

    status_line: bytes
    headers: Sequence[bytes]  # all of them
    ended: bool

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Self:
        """Read the last head in *lines*: an interim one says nothing about what follows it.

        Nor does a trailer about how to read what it follows.
        """
        if has_ended(lines) and sum(map(lines.count, _END)) == 1:  # as nearly always
            return cls(lines[0], lines[1:-1], ended=True)
        status_line, headers, ended = b"", list[bytes](), False
        for line in lines:
            if line in _END:
                ended = True
            elif line[: len(_STATUS_LINE)].upper() == _STATUS_LINE:
                status_line, headers, ended = line, [], False
            elif not ended:
                headers.append(line)
        return cls(status_line, headers, ended)

    def kept(self) -> tuple[Sequence[bytes], int]:
        """Return the headers within the limits, and how many are beyond them."""
        if len(self.headers) <= _LINES_MAX and sum(map(len, self.headers)) <= _BYTES_MAX:
            return self.headers, 0
        kept: list[bytes] = []
        room = _BYTES_MAX
        for line in self.headers:
            if len(line) <= room and len(kept) < _LINES_MAX:
                kept.append(line)
                room -= len(line)
        return kept, len(self.headers) - len(kept)

    def instructions(self) -> tuple[str | None, str | None]:
        """Return `Retry-After` and `Content-Encoding` as they came; None: it has none.

        Of several the last one counts.
        """
        text = b"".join(self.headers).lower()
        return (
            self._value(_RETRY_AFTER) if _RETRY_AFTER in text else None,
            self._value(_ENCODING) if _ENCODING in text else None,
        )

    @property
    def has_framing(self) -> bool:
        """Whether it says where the body ends."""
        return any(self._value(name) is not None for name in _FRAMING)

    @property
    def is_whole(self) -> bool:
        """Whether it is a 205 that announces no body: it has none (RFC 9110, 15.3.6)."""
        is_reset = _RESET_CONTENT.match(self.status_line) is not None
        return self.ended and is_reset and not self.has_framing

    def _value(self, name: bytes) -> str | None:
        values = [line[len(name) :] for line in self.headers if line[: len(name)].lower() == name]
        return values[-1].decode("latin-1").strip() if values else None

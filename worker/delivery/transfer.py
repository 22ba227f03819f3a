"""One easy handle of libcurl and its callbacks: carries one call at a time, then the next.

What is fixed for all calls is set once. What differs is set for each call, so nothing of an earlier
one remains; a handle whose transfer did not end in a whole answer is not used again.

Nothing is ever sent twice here. libcurl would repeat a request on its own when a reused connection
dies before the answer, although the partner may already be working on it. The body comes from a
callback that cannot be rewound, so it has to report that instead (protocol.md rules 10 and 15).
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, Self

import pycurl

from models.settings import Settings
from worker.delivery.calls import Answer, Call, NoAnswer, NotReached, Reply
from worker.delivery.networks import Network, may_connect

_REUSE_SECONDS_MAX: Final = 2  # idle longer, many servers are about to hang up: no race for it
_CONNECTION_SECONDS_MAX: Final = 300  # then resolved anew: a partner may have moved
_PROBLEM_CHARS_MAX: Final = 300
_MILLISECOND: Final = timedelta(milliseconds=1)
_RETRY_AFTER: Final = b"retry-after:"
_NO_SOCKET: Final[int] = pycurl.SOCKET_BAD
# In pycurl's words; what it says of itself would puzzle whoever reads the attempt.
_PROBLEMS: Final[Mapping[int, str]] = {
    pycurl.E_SEND_FAIL_REWIND: "the connection was closed before an answer came",
}


class _Address(Protocol):
    """An address as pycurl gives it."""

    family: int
    socktype: int
    protocol: int
    addr: Sequence[str | int]  # host, port; with IPv6 flow and scope as well


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every call."""

    connect_timeout: timedelta  # TLS included; never more than the call's whole
    networks: Sequence[Network]  # private ones that partners may live in
    answer_bytes_max: int
    authorities: str | None = None  # a file of CA certificates instead of the system's

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the terms from the settings."""
        return cls(
            connect_timeout=settings.partner_connect_timeout,
            networks=settings.partner_networks,
            answer_bytes_max=settings.answer_bytes_max,
        )


class Transfer:
    """One easy handle, and the call it carries. Only the thread of the wire touches it."""

    __slots__ = (
        "_answer",
        "_body",
        "_cut",
        "_opened",
        "_reaching",
        "_refused",
        "_retry_after",
        "_terms",
        "_timeout",
        "_url",
        "easy",
        "token",
    )

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._url = ""
        self._timeout: timedelta | None = None
        self._opened: socket.socket | None = None
        self.token = 0
        self.easy: pycurl.Curl = pycurl.Curl()
        self._clear()
        for option, value in (*_FIXED, *self._callbacks()):
            self.easy.setopt(option, value)
        if terms.authorities is not None:
            self.easy.setopt(pycurl.CAINFO, terms.authorities)

    def load(self, call: Call) -> None:
        """Make ready to carry *call*. Raises pycurl.error or ValueError if libcurl refuses it."""
        assert call.body, "without a body nothing tells whether the request left us"
        self._clear()
        self.token = call.token
        self._body = call.body
        easy = self.easy
        if call.url != self._url:
            easy.setopt(pycurl.URL, call.url.encode())
            self._url = call.url
        lines = [f"{name}: {value}" for name, value in call.headers.items()]
        lines.append("Expect:")  # no `100-continue`: it costs a second where it is not understood
        easy.setopt(pycurl.HTTPHEADER, lines)
        easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(call.body))
        if call.timeout != self._timeout:
            easy.setopt(pycurl.TIMEOUT_MS, _milliseconds(call.timeout))
            connecting = min(call.timeout, self._terms.connect_timeout)
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(connecting))
            self._timeout = call.timeout

    def answer(self) -> Answer:
        """Give the partner's whole answer, or its beginning where it was too long."""
        status: int = self.easy.getinfo(pycurl.RESPONSE_CODE)
        return Answer(
            status=status, body=bytes(self._answer), retry_after=self._retry_after, cut=self._cut
        )

    def failure(self, code: int, message: str) -> Reply:
        """Say what an error of libcurl means for the notice."""
        if self._cut:
            return self.answer()  # it was we who stopped it
        if self._refused is not None and self._reaching:
            return NotReached(
                f"the address {self._refused} is not public; if the partner may live there, name"
                " its network in SLIPWAY_PARTNER_NETWORKS"
            )
        problem = _PROBLEMS.get(code, message)[:_PROBLEM_CHARS_MAX]
        if self._reaching:
            return NotReached(problem)
        status = self.easy.getinfo(pycurl.RESPONSE_CODE)
        return NoAnswer(f"began to answer {status}, then: {problem}" if status else problem)

    @property
    def took(self) -> timedelta:
        """How long the transfer went on."""
        return timedelta(microseconds=self.easy.getinfo(pycurl.TOTAL_TIME_T))

    def unload(self) -> None:
        """Let go of the call's bytes. The connection stays open for the next one."""
        self._clear()

    def close(self) -> None:
        """Throw the handle away."""
        self._clear()
        self.easy.close()

    def _clear(self) -> None:
        self._body = b""
        self._reaching = True  # until libcurl asks for the body
        self._answer = bytearray()
        self._cut = False
        self._retry_after: str | None = None
        self._refused: str | None = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _callbacks(self) -> tuple[tuple[int, Any], ...]:
        return (
            (pycurl.READFUNCTION, self._give),
            (pycurl.WRITEFUNCTION, self._take),
            (pycurl.HEADERFUNCTION, self._take_header),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
        )

    def _give(self, room: int) -> bytes:
        self._reaching = False
        part, self._body = self._body[:room], self._body[room:]
        return part

    def _take(self, part: bytes) -> int:
        room = self._terms.answer_bytes_max - len(self._answer)
        self._answer += part[:room]
        if len(part) <= room:
            return len(part)
        self._cut = True
        return -1  # any other number than was offered stops the transfer

    def _take_header(self, line: bytes) -> None:
        if line[:12].lower() == _RETRY_AFTER:
            self._retry_after = line[12:].decode("latin-1").strip()

    def _open_socket(self, _purpose: int, address: _Address) -> socket.socket | int:
        host = str(address.addr[0])
        if not may_connect(host, allowed=self._terms.networks):
            self._refused = host
            return _NO_SOCKET
        if self._opened is not None:
            self._opened.close()
        try:
            # pycurl duplicates the descriptor; ours is closed when the call is over
            self._opened = socket.socket(address.family, address.socktype, address.protocol)
        except OSError:  # libcurl tries the next address, or says that it could not connect
            return _NO_SOCKET
        return self._opened


def _milliseconds(time: timedelta) -> int:
    return max(1, time // _MILLISECOND)  # 0 would mean: for ever


_FIXED: Final[Sequence[tuple[int, Any]]] = (
    (pycurl.POST, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    # One call per connection: a connection that breaks costs one call its answer.
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROXY, ""),  # whatever the environment says: our addresses are checked, a proxy's not
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),  # or later
    (pycurl.MAXAGE_CONN, _REUSE_SECONDS_MAX),
    (pycurl.MAXLIFETIME_CONN, _CONNECTION_SECONDS_MAX),
    (pycurl.USERAGENT, "slipway"),
)

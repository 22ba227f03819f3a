"""One easy handle of libcurl and its callbacks: carries one call at a time, then the next.

What is fixed for all calls is set once. What differs is set for each call, so nothing of an earlier
one remains; a handle whose transfer did not end in a whole answer is not used again.

Nothing is ever sent twice here. libcurl would repeat a request on its own when a reused connection
dies before the answer, although the partner may already be working on it. The body comes from a
callback that cannot be rewound, so it has to report that instead (protocol.md rules 10 and 15).
A kept connection that the peer has closed is another matter: nothing was sent on it yet, so the
call is *stale* and starts again, on a new connection.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, Self

import pycurl

from models.platform.durations import whole_milliseconds
from models.settings.settings import Settings
from worker.delivery.http import error_texts as wire_words
from worker.delivery.http.address_policy import Network, may_connect
from worker.delivery.http.exchange import HttpCall, HttpResponse, NoAnswer, NotReached, Reply
from worker.delivery.http.idle_connections import KeptConnections

_REUSE_SECONDS_MAX: Final = 2  # idle longer, many servers are about to hang up: no race for it
_CONNECTION_SECONDS_MAX: Final = 300  # then resolved anew: a partner may have moved
_RETRY_AFTER: Final = b"retry-after:"
_CODING: Final = b"content-encoding:"
_NAME_BYTES_MAX: Final = 20  # as far as a header's name is looked at
_FRAMING: Final = (b"content-length:", b"transfer-encoding:")
_ENDS_OF_HEAD: Final = (b"\r\n", b"\n")
_FINAL_STATUS_MIN: Final = 200  # what comes before it is interim
_NO_SOCKET: Final[int] = pycurl.SOCKET_BAD
_GO_ON: Final[int] = pycurl.PREREQFUNC_OK
_ABORT: Final[int] = pycurl.PREREQFUNC_ABORT


class _Address(Protocol):
    """An address as pycurl gives it."""

    family: int
    socktype: int
    protocol: int
    addr: Sequence[str | int]  # host, port; with IPv6 flow and scope as well


@dataclass(frozen=True, slots=True)
class TransferLimits:
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
        "_alone",
        "_answer",
        "_body",
        "_coding",
        "_cut",
        "_foreign",
        "_framed",
        "_headed",
        "_kept",
        "_opened",
        "_reaching",
        "_refused",
        "_retry_after",
        "_terms",
        "_timeout",
        "_unopened",
        "_url",
        "call",
        "easy",
        "stale",
    )

    def __init__(self, terms: TransferLimits, kept: KeptConnections) -> None:
        self._terms = terms
        self._kept = kept
        self._url = ""
        self._alone = False
        self._timeout: timedelta | None = None
        self._opened: socket.socket | None = None
        self.call: HttpCall | None = None
        self.easy: pycurl.Curl = pycurl.Curl()
        self._clear()
        for option, value in (*_FIXED, *self._callbacks()):
            self.easy.setopt(option, value)
        if terms.authorities is not None:
            self.easy.setopt(pycurl.CAINFO, terms.authorities)

    def load(self, call: HttpCall, *, fresh: bool = False) -> None:
        """Make ready to carry *call*. Raises pycurl.error or ValueError if libcurl refuses it.

        *fresh*: on no kept connection.
        """
        assert call.body, "without a body nothing tells whether the request left us"
        self._clear()
        self.call = call
        self._body = call.body
        easy = self.easy
        if call.url != self._url:
            easy.setopt(pycurl.URL, call.url.encode())
            self._url = call.url
        lines = [f"{name}: {value}" for name, value in call.headers.items()]
        lines.append("Accept-Encoding: identity")  # else any compression would be right
        lines.append("Expect:")  # no `100-continue`: it costs a second where it is not understood
        easy.setopt(pycurl.HTTPHEADER, lines)
        easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(call.body))
        if call.timeout != self._timeout:
            easy.setopt(pycurl.TIMEOUT_MS, _positive_milliseconds(call.timeout))
            connecting = min(call.timeout, self._terms.connect_timeout)
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, _positive_milliseconds(connecting))
            self._timeout = call.timeout
        if call.alone != self._alone:
            easy.setopt(pycurl.FORBID_REUSE, call.alone)  # no more are open than calls in flight
            self._alone = call.alone
        easy.setopt(pycurl.FRESH_CONNECT, fresh or call.alone)

    def answer(self, *, unended: bool = False) -> HttpResponse:
        """Give the partner's whole answer, or its beginning where it was too long."""
        status: int = self.easy.getinfo(pycurl.RESPONSE_CODE)
        return HttpResponse(
            status=status,
            body=bytes(self._answer),
            retry_after=self._retry_after,
            cut=self._cut,
            unended=unended,
            coding=self._coding,
        )

    def failure(self, code: int, message: str) -> Reply:
        """Say what an error of libcurl means for the notice."""
        if self._cut:
            return self.answer()  # it was we who stopped it
        if self._foreign is not None:
            return NoAnswer(wire_words.not_http(self._foreign))
        if self._reaching:
            return NotReached(self._unreached(code, message))
        status: int = self.easy.getinfo(pycurl.RESPONSE_CODE)
        whole = self._headed and not self._framed and status >= _FINAL_STATUS_MIN
        if whole and wire_words.is_unended(code, message):
            return self.answer(unended=True)
        problem = wire_words.problem(code, message)
        return NoAnswer(f"began to answer {status}, then: {problem}" if status else problem)

    def _unreached(self, code: int, message: str) -> str:
        """Say why it was not reached: first what went wrong at an address that may be called."""
        refused = wire_words.refused(self._refused) if self._refused else None
        if self._opened is None and self._unopened is None and refused is not None:
            return refused
        problem = self._unopened or wire_words.problem(code, message)
        return problem if refused is None else f"{problem}. Besides, {refused}"

    @property
    def took(self) -> timedelta:
        """How long the transfer went on."""
        return timedelta(microseconds=self.easy.getinfo(pycurl.TOTAL_TIME_T))

    def remember_connection(self) -> None:
        """Let the next call find the connection; before libcurl takes the handle off."""
        info = self.easy.getinfo
        end = info(pycurl.LOCAL_IP), info(pycurl.LOCAL_PORT)
        self._kept.keep(end, info(pycurl.ACTIVESOCKET))

    def unload(self) -> None:
        """Let go of the call's bytes. The connection stays open for the next one."""
        self._clear()

    def close(self) -> None:
        """Throw the handle away."""
        self._clear()
        self.easy.close()

    def _clear(self) -> None:
        self.call = None
        self.stale = False  # its kept connection was closed by the peer; nothing was sent
        self._body = b""
        self._reaching = True  # until libcurl asks for the body
        self._answer = bytearray()
        self._cut = False
        self._headed = False  # the answer's head came whole
        self._framed = False  # and says where its body ends
        self._foreign: bytes | None = None  # how an answer begins that is not HTTP/1
        self._retry_after: str | None = None
        self._coding: str | None = None
        self._refused: list[str] = []  # addresses that may not be connected to
        self._unopened: str | None = None  # why there is no socket for one that may
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _callbacks(self) -> tuple[tuple[int, Any], ...]:
        return (
            (pycurl.READFUNCTION, self._give),
            (pycurl.WRITEFUNCTION, self._take),
            (pycurl.HEADERFUNCTION, self._take_header),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.PREREQFUNCTION, self._look),
        )

    def _look(self, _peer: str, own: str, _peer_port: int, own_port: int) -> int:
        """Look at a kept connection before anything is sent on it."""
        if self._opened is None and not self._kept.is_silent((own, own_port)):
            self.stale = True
            return _ABORT
        return _GO_ON

    def _give(self, room: int) -> bytes:
        self._reaching = False
        part, self._body = self._body[:room], self._body[room:]
        return part

    def _take(self, part: bytes) -> int:
        if not self._headed:
            self._foreign = part
            return -1
        room = self._terms.answer_bytes_max - len(self._answer)
        self._answer += part[:room]
        if len(part) <= room:
            return len(part)
        self._cut = True
        return -1  # any other number than was offered stops the transfer

    def _take_header(self, line: bytes) -> None:
        if line in _ENDS_OF_HEAD:
            self._headed = True
            return
        name = line[:_NAME_BYTES_MAX].lower()
        if name.startswith(_RETRY_AFTER):
            self._retry_after = _value(line)
        elif name.startswith(_CODING):
            self._coding = _value(line)
        elif name.startswith(_FRAMING):
            self._framed = True

    def _open_socket(self, _purpose: int, address: _Address) -> socket.socket | int:
        host = str(address.addr[0])
        if not may_connect(host, allowed=self._terms.networks):
            if host not in self._refused:
                self._refused.append(host)
            return _NO_SOCKET
        try:
            opened = socket.socket(address.family, address.socktype, address.protocol)
        except OSError as error:  # libcurl tries the next address, if there is one
            self._unopened = f"no socket for the address {host}: {error.strerror}"
            return _NO_SOCKET
        if self._opened is not None:
            self._opened.close()
        # pycurl duplicates the descriptor; ours is closed when the call is over
        self._opened = opened
        self._unopened = None
        return opened


def _value(header: bytes) -> str:
    return header.partition(b":")[2].decode("latin-1").strip()


def _positive_milliseconds(duration: timedelta) -> int:
    return max(1, whole_milliseconds(duration))  # libcurl reads 0 as no limit


_FIXED: Final[Sequence[tuple[int, Any]]] = (
    (pycurl.POST, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    # One call per connection: a connection that breaks costs one call its answer.
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    # What is no HTTP/1 comes as a body without a head: then its beginning says what it is.
    (pycurl.HTTP09_ALLOWED, 1),
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

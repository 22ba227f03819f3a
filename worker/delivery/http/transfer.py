"""One easy handle of libcurl and its callbacks: carries one call at a time, then the next.

Options that are the same for all calls are set once. The others are set for each call, so nothing
of an earlier one remains; a handle whose transfer did not end in a whole response is not reused.

Nothing is ever sent twice here. libcurl would repeat a request on its own when a reused connection
dies before the response, although the partner may already be working on it. The body comes from a
callback that cannot be rewound, so libcurl has to report that instead (rule 10, rule 15). A kept
connection that the peer has closed is another matter: nothing was sent on it yet, so the call is
*stale* and starts again, on a new connection.
"""

import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

import pycurl

from models.notices.request import FIXED_HEADERS
from models.settings.egress import EgressProxy
from worker.delivery.http.address_policy import may_connect
from worker.delivery.http.decoding import decoded
from worker.delivery.http.egress import check_proxied
from worker.delivery.http.exchange import (
    CallResult,
    ConnectionOptions,
    FinishedCall,
    HttpCall,
    HttpResponse,
    NoResponse,
    NotReached,
)
from worker.delivery.http.idle_connections import IdleConnections
from worker.delivery.http.limits import TransferLimits
from worker.delivery.http.options import FIXED, installation_options, positive_milliseconds
from worker.delivery.http.problems import (
    Trust,
    describe_error,
    describe_not_http,
    describe_proxied,
    describe_refused,
    describe_tls,
    lacks_close_notify,
    refuses_certificate,
)
from worker.delivery.http.response_head import ResponseHead, has_ended

_FINAL_STATUS_MIN: Final = 200  # lower ones are interim
_NO_SOCKET: Final[int] = pycurl.SOCKET_BAD
_GO_ON: Final[int] = pycurl.PREREQFUNC_OK
_ABORT: Final[int] = pycurl.PREREQFUNC_ABORT
_NO_OPTIONS: Final = ConnectionOptions()
_STOP: Final = -1  # any number but that of the bytes offered stops the transfer
# `Expect:` is no header, but leaves one out: no `100-continue`, which costs a second if it is not
# supported. Without a word about encodings any compression would be allowed.
_ADDED: Final = (*(f"{name}: {value}" for name, value in FIXED_HEADERS.items()), "Expect:")


class _Address(Protocol):
    """An address as pycurl passes it."""

    family: int
    socktype: int
    protocol: int
    addr: Sequence[str | int]  # host, port; with IPv6 flow and scope as well


class Transfer:
    """One easy handle, and the call it carries. For the thread of the event loop."""

    __slots__ = (
        "_any_bytes_sent",
        "_body",
        "_connection",
        "_connections",
        "_fresh",
        "_limits",
        "_lines",
        "_not_http",
        "_opened",
        "_own_address",
        "_own_connection",
        "_peer",
        "_proxy",
        "_reached",
        "_refused",
        "_response",
        "_timeout",
        "_truncated",
        "_unopened",
        "_url",
        "call",
        "easy",
        "stale",
    )

    def __init__(self, limits: TransferLimits, connections: IdleConnections) -> None:
        self._limits = limits
        self._connections = connections
        self._url = ""
        self._fresh = self._own_connection = False
        self._connection: ConnectionOptions | None = None
        self._proxy: EgressProxy | None = None  # of the present URL
        self._timeout: timedelta | None = None
        self._opened: socket.socket | None = None
        self._lines: list[bytes] = []  # of the response's head
        self.call: HttpCall | None = None
        self.easy: pycurl.Curl = pycurl.Curl()
        self._clear()
        for option, value in (*FIXED, *self._callbacks(), *installation_options(limits)):
            self.easy.setopt(option, value)

    def load(self, call: HttpCall, *, fresh: bool = False) -> None:
        """Prepare to carry *call*. Raises pycurl.error or ValueError if it is refused.

        *fresh*: not on a kept connection.
        """
        assert call.body, "only its body tells whether the request was sent"
        self.call = call
        self._body = call.body
        easy = self.easy
        if call.url != self._url:
            if self._limits.egress.proxy is not None:
                self._choose_way(call.url)
            easy.setopt(pycurl.URL, call.url.encode())
            self._url = call.url
        if call.connection is not self._connection:
            self._prepare_connection(call.connection)
        headers = [f"{name}: {value}" for name, value in call.headers.items()]
        headers += _ADDED
        easy.setopt(pycurl.HTTPHEADER, headers)
        easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(call.body))
        if call.timeout != self._timeout:
            easy.setopt(pycurl.TIMEOUT_MS, positive_milliseconds(call.timeout))
            connecting = min(call.timeout, self._limits.connect_timeout)
            easy.setopt(pycurl.CONNECTTIMEOUT_MS, positive_milliseconds(connecting))
            self._timeout = call.timeout
        if call.own_connection != self._own_connection:
            # Closed afterwards: no more connections are open than calls.
            easy.setopt(pycurl.FORBID_REUSE, call.own_connection)
            self._own_connection = call.own_connection
        if (fresh or call.own_connection) != self._fresh:
            self._fresh = fresh or call.own_connection
            easy.setopt(pycurl.FRESH_CONNECT, self._fresh)

    def response(self, *, unverified_end: bool = False) -> HttpResponse:
        """Return the partner's whole response, or its beginning if it was too long."""
        status: int = self.easy.getinfo(pycurl.RESPONSE_CODE)
        head = ResponseHead.of(self._lines)
        retry_after, encoding = head.instructions()
        headers, omitted = head.kept()
        response = HttpResponse(
            status=status,
            body=bytes(self._response),
            retry_after=retry_after,
            truncated=self._truncated,
            unverified_end=unverified_end,
            encoding=encoding,
            headers=headers,
            headers_omitted=omitted,
        )
        return decoded(response, bytes_max=self._limits.response_bytes_max)

    def failure(self, code: int, message: str) -> CallResult:
        """Return what an error of libcurl means for the call."""
        if self._truncated:
            return self.response()  # we stopped it ourselves
        if self._not_http is not None:
            return NoResponse(describe_not_http(self._not_http))
        if not self._any_bytes_sent:
            return NotReached(self._describe_unreached(code, message))
        if self._refused_in_handshake(message):
            return NotReached(self._describe(code, message))
        status: int = self.easy.getinfo(pycurl.RESPONSE_CODE)
        head = ResponseHead.of(self._lines)
        is_whole = head.ended and not head.has_framing and status >= _FINAL_STATUS_MIN
        if is_whole and lacks_close_notify(code, message):
            return self.response(unverified_end=True)
        problem = self._describe(code, message)
        return NoResponse(f"began to answer {status}, then: {problem}" if status else problem)

    def _describe_unreached(self, code: int, message: str) -> str:
        """Describe why it was not reached: first what went wrong at an address that is allowed."""
        refused = describe_refused(self._refused, proxy=self._proxy) if self._refused else None
        if self._opened is None and self._unopened is None and refused is not None:
            return refused
        problem = self._unopened or self._describe(code, message)
        return problem if refused is None else f"{problem}. Besides, {refused}"

    def _describe(self, code: int, message: str) -> str:
        info = self.easy.getinfo
        problem = None
        if self._proxy is not None and not self._reached:
            problem = describe_proxied(
                code,
                message,
                proxy=self._proxy,
                status=info(pycurl.HTTP_CONNECTCODE),
                verified=info(pycurl.PROXY_SSL_VERIFYRESULT),
            )
        if problem is None:
            problem = describe_tls(
                code,
                message,
                verified=info(pycurl.SSL_VERIFYRESULT),
                trust=Trust.of(self._connection or _NO_OPTIONS),
            )
        return problem or describe_error(code, message)

    def _refused_in_handshake(self, message: str) -> bool:
        """Return whether the partner refused our certificate on a new connection: it read nothing.

        With TLS 1.3 the request is on its way before that is known.
        """
        is_first = self._opened is not None and not self._lines
        return is_first and refuses_certificate(message)

    @property
    def is_whole(self) -> bool:
        """Whether the response came and has no body, although libcurl waits for one.

        It would wait until the connection is closed, and a kept one is not.
        """
        return has_ended(self._lines) and ResponseHead.of(self._lines).is_whole

    def finished(self, call: HttpCall, result: CallResult) -> FinishedCall:
        """Return *call* with its *result*, how long it took, and where it went.

        A scope (`%eth0`) is none of the address itself.
        """
        info = self.easy.getinfo
        address: str = self._peer or info(pycurl.PRIMARY_IP)
        if "%" in address:
            address = address.partition("%")[0]
        return FinishedCall(
            call.call_id,
            result,
            timedelta(microseconds=info(pycurl.TOTAL_TIME_T)),
            address or None,
            by_proxy=self._proxy is not None,
        )

    def remember_connection(self) -> None:
        """Remember a new connection for the next call; must precede `remove_handle`."""
        if self._opened is not None:
            self._connections.remember(self._own_address, self.easy.getinfo(pycurl.ACTIVESOCKET))

    def unload(self) -> None:
        """Drop the call's bytes. The connection stays open for the next one."""
        self._clear()

    def close(self) -> None:
        """Close the handle."""
        self._clear()
        self.easy.close()

    def _clear(self) -> None:
        self.call = None
        self.stale = False  # its kept connection was closed by the peer; nothing was sent
        self._body = b""
        self._reached = False  # connected, TLS and the proxy's tunnel included
        self._peer, self._own_address = "", ("", 0)  # the addresses of that connection
        self._any_bytes_sent = False  # libcurl has asked for the body
        self._lines.clear()
        self._response: bytes | bytearray = b""
        self._truncated = False
        self._not_http: bytes | None = None  # the beginning of a response that is not HTTP/1
        self._refused: list[str] = []  # addresses that are not allowed
        self._unopened: str | None = None  # why there is no socket for one that is
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _callbacks(self) -> tuple[tuple[int, Any], ...]:
        return (
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.PREREQFUNCTION, self._check_connection),
            (pycurl.READFUNCTION, self._read_body),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._take_part),
        )

    def _choose_way(self, url: str) -> None:
        """Take the proxy for *url*, or none. Raises CallRefused."""
        proxy = self._limits.egress.proxy_for(url)
        if proxy is not None:
            check_proxied(url, allowed=self._limits.networks)
        self.easy.setopt(pycurl.PROXY, "" if proxy is None else proxy.address)
        self._proxy = proxy

    def _prepare_connection(self, options: ConnectionOptions | None) -> None:
        """Set what this partner's connections need, and nothing of another partner's.

        libcurl reuses only a connection that was opened with the same, and so with TLS sessions.
        """
        given = options or _NO_OPTIONS
        for option, value in (
            (pycurl.CAINFO_BLOB, given.authorities),
            (pycurl.SSLCERT_BLOB, given.certificate),
            (pycurl.SSLKEY_BLOB, given.key),
        ):
            if value is None:
                self.easy.unsetopt(option)
            else:
                self.easy.setopt(option, value)
        self._connection = options

    def _open_socket(self, _purpose: int, address: _Address) -> socket.socket | int:
        host = str(address.addr[0])
        limits = self._limits
        networks = limits.networks if self._proxy is None else limits.egress.networks
        if not may_connect(host, allowed=networks):
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

    def _check_connection(self, peer: str, own: str, _peer_port: int, own_port: int) -> int:
        """Check a kept connection before anything is sent on it."""
        self._peer, self._own_address = peer, (own, own_port)
        if self._opened is None and not self._connections.is_silent(self._own_address):
            self.stale = True
            return _ABORT
        self._reached = True
        return _GO_ON

    def _read_body(self, room: int) -> bytes:
        self._any_bytes_sent = True
        part, self._body = self._body[:room], self._body[room:]
        return part

    def _take_part(self, part: bytes) -> int | None:
        """Keep *part* of the body, as far as there is room. None: go on."""
        if not has_ended(self._lines):
            self._not_http = part
            return _STOP
        room = self._limits.response_bytes_max - len(self._response)
        if not self._response:  # as a rule one part is all of it
            self._response = part[:room]
        else:
            if isinstance(self._response, bytes):
                self._response = bytearray(self._response)
            self._response += part[:room]
        if len(part) <= room:
            return None
        self._truncated = True
        return _STOP

"""Calls and their results, as values that know no HTTP client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from models.platform.made_often import made_often


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionOptions:
    """What a partner's connections are opened with beside the usual, all of it PEM.

    Compared by identity, since each call is: make it once for each partner. *authorities* count
    instead of the system's and the installation's. *certificate*: with its chain.
    """

    authorities: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


@made_often
class HttpCall:
    """One POST to a partner. The body has at least one byte; *timeout* covers the whole call."""

    call_id: int  # the caller's own number for it, returned with the result
    url: str = field(repr=False)  # may hold a password
    headers: Mapping[str, str] = field(repr=False)  # holds the signature
    body: bytes = field(repr=False)
    timeout: timedelta
    own_connection: bool = False  # new, and closed afterwards: a kept one may be dead
    connection: ConnectionOptions | None = None


@made_often
class HttpResponse:
    """The partner responded with *status*, and sent its whole body, or more than we read.

    *body* holds its first bytes, unpacked and in UTF-8 (`decoding.py`). *truncated*: there were
    more of them than the limit; the status counts all the same, since it came before the body.
    *unverified_end*: the body ended with the connection, and TLS did not confirm that end (no
    close_notify): only the status is certain.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None  # the header as it came
    truncated: bool = False
    unverified_end: bool = False
    encoding: str | None = None  # how the body is compressed, where it could not be unpacked
    repairs: tuple[str, ...] = ()  # what had to be done about the body to read it
    headers: Sequence[bytes] = field(default=(), repr=False, compare=False)  # lines; up to 4 KiB
    headers_omitted: int = field(default=0, repr=False, compare=False)  # beyond that


@dataclass(frozen=True, slots=True)
class NotReached:
    """No byte of the body was sent: no address, no connection, no trust, or a refused address."""

    problem: str


@dataclass(frozen=True, slots=True)
class NoResponse:
    """The request was on its way, and no whole response came: the partner may have acted on it.

    Also where the response began and broke off: a status without the body it announced does not
    count as a response.
    """

    problem: str


CallResult = HttpResponse | NotReached | NoResponse


@made_often
class FinishedCall:
    """A call that is over."""

    call_id: int
    result: CallResult
    took: timedelta  # from the start of the transfer
    remote_address: str | None = field(default=None, compare=False)  # None: no connection
    by_proxy: bool = False  # then the address is the proxy's

"""What passes over the wire: calls, and what became of them. Values, no HTTP client in sight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One POST to a partner. The body has at least one byte; *timeout* covers all of it."""

    token: int  # the caller's own number for it, given back with the answer
    url: str = field(repr=False)  # may hold a password
    headers: Mapping[str, str] = field(repr=False)  # holds the signature
    body: bytes = field(repr=False)
    timeout: timedelta
    alone: bool = False  # on a connection of its own: a kept one may be dead


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The partner answered with *status*, and said all it had to say, or more than we read.

    *body* holds its first bytes. *cut*: there were more of them than the limit; the status stands
    all the same, since it came before the body. *unended*: the end of the connection was the end of
    the body, and TLS did not vouch for that end (no close_notify): only the status is sure.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None  # the header as it came
    cut: bool = False
    unended: bool = False
    coding: str | None = None  # how the body is compressed, as its header says


@dataclass(frozen=True, slots=True)
class NotReached:
    """No byte of the body left us: no address, no connection, no trust, or an address refused."""

    problem: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request was on its way, and no whole answer came back: the partner may have acted on it.

    Also where the answer began and broke off: a status without the body it announced is not taken
    for an answer.
    """

    problem: str


Reply = HttpResponse | NotReached | NoAnswer


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that is over."""

    token: int
    reply: Reply
    took: timedelta  # from the start of the transfer

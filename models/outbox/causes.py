"""Why a circuit is open: a cause from a closed list.

The cause is read from the stored reason, a text (`models.outbox.circuit`). The problem of the last
attempt counts, because a partner whose name did not resolve an hour ago may refuse the signature by
now. The texts are those of `worker.delivery.http.problems`, of the protocol adapters and of
libcurl; what matches none of the patterns is OTHER.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

LAST_PROBLEM: Final = "; the last: "  # in a reason, before the problem of the last attempt
NO_DETAILS: Final = "no details"  # for the problem of an attempt that names none
_BESIDES: Final = ". Besides, "  # a second address, which was not the one that failed


class Cause(StrEnum):
    """Why a partner's circuit is open."""

    LOCKED_OUT = "locked_out"
    REDIRECT = "redirect"
    NOT_FOUND = "not_found"
    TOO_MANY = "too_many"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    HTTP_VERSION = "http_version"
    URL = "url"
    NAME = "name"
    PRIVATE_ADDRESS = "private_address"
    NOT_CONNECTED = "not_connected"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    CLIENT_CERTIFICATE = "client_certificate"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    TLS = "tls"
    TIMEOUT = "timeout"
    CUT_OFF = "cut_off"
    KEY = "key"
    PROGRAM = "program"
    OTHER = "other"


_ANSWERED: Final = re.compile(r"answered (?P<status>\d{3})\b")
_STATUSES: Final[Mapping[int, Cause]] = {
    401: Cause.LOCKED_OUT,
    403: Cause.LOCKED_OUT,
    404: Cause.NOT_FOUND,
    405: Cause.NOT_FOUND,
    408: Cause.SERVER_ERROR,
    410: Cause.NOT_FOUND,
    425: Cause.TOO_MANY,
    429: Cause.TOO_MANY,
}
_CLASSES: Final[Mapping[int, Cause]] = {
    1: Cause.UNREADABLE,
    2: Cause.UNREADABLE,
    3: Cause.REDIRECT,
    4: Cause.REFUSED,
    5: Cause.SERVER_ERROR,
}
_TLS: Final = r"(openssl|gnutls|ssl|tls)"
# The first match counts. All are matched at the beginning: a host name further on may be any text.
_PATTERNS: Final = tuple(
    (re.compile("|".join(patterns), re.IGNORECASE), cause)
    for cause, *patterns in (
        (Cause.REFUSED, r"answered status\.code"),
        (
            Cause.TOKEN,
            r"(no token could be had, so nothing was sent: )?the token endpoint https?://",
        ),
        (Cause.PROXY, r"the proxy https?://"),
        (
            Cause.CLIENT_CERTIFICATE,
            r"the partner (asks for a|refuses our) client certificate",
            r"our client certificate cannot be used",
        ),
        (Cause.CERTIFICATE, r"the partner's certificate", r"no authority can be read"),
        (Cause.HTTP_VERSION, r"answered in HTTP/2", r"the partner accepts HTTP/2 only"),
        (Cause.NAME, r"could(n't| not) resolve", r"resolving timed out"),
        (Cause.PRIVATE_ADDRESS, r"the address \S+ is not public"),
        (
            Cause.URL,
            r"the address or a header holds",
            r"the host in the url",
            r"url",
            r"port number",
        ),
        (
            Cause.NOT_CONNECTED,
            *(r"(failed|could(n't| not)) (to )?connect", r"connection (timed out|refused)"),
            *(r"no socket for the address", r"no route to host", r"network is unreachable"),
        ),
        (Cause.TIMEOUT, r"(operation )?timed out", r"ssl connection timeout", r"timeout"),
        (
            Cause.CUT_OFF,
            *(r"the connection was closed", r"empty reply", r"(recv|send) failure"),
            *(r"transfer closed", r"end of response with", r"failed (sending|receiving)"),
            rf"{_TLS}\b.*(reset by peer|broken pipe|syscall|ssl_(read|write)|unexpected eof)",
            rf"{_TLS}\b.*non-properly terminated",
        ),
        (Cause.CERTIFICATE, rf"({_TLS}|server|peer)\b.*certificate"),
        (Cause.TLS, r"the partner breaks off the handshake of TLS", _TLS),
        (
            Cause.UNREADABLE,
            *(r"the response is not HTTP", r".*\b(header|headers|chunk|content-length)\b"),
            *(r"weird server reply", r"received http", r"unsupported http", r".*chunked-encoding"),
        ),
        (Cause.KEY, r"its secret cannot be decrypted", r"its protocol \S+ is not supported"),
        (
            Cause.PROGRAM,
            *(r"the request could not be built", r"the response could not be read"),
            *(r"the HTTP client failed", r"the call could not be started"),
        ),
        (Cause.URL, r"protocol \S+", r".*\burl\b"),
    )
)
_REDIRECTED: Final = re.compile(r"; it redirects to (?P<target>[^\s;]+)")
_BEGUN: Final = re.compile(r"began to answer \d{3}, then: ")


def cause_of(reason: str | None) -> Cause:
    """Return the cause behind a circuit's reason: that of the last attempt in it."""
    problem = _BEGUN.sub("", _last_problem(reason), count=1).strip()
    answered = _ANSWERED.match(problem)
    if answered is not None:
        status = int(answered["status"])
        return _STATUSES.get(status) or _CLASSES.get(status // 100, Cause.OTHER)
    causes = (cause for pattern, cause in _PATTERNS if pattern.match(problem))
    return next(causes, Cause.OTHER)


def redirect_target(reason: str | None) -> str | None:
    """Return where the last attempt in a circuit's reason was redirected to; None if it was not.

    What may be secret in that address was masked when the attempt was recorded.
    """
    redirect = _REDIRECTED.search(_last_problem(reason))
    return None if redirect is None else redirect["target"]


def _last_problem(reason: str | None) -> str:
    return (reason or "").rpartition(LAST_PROBLEM)[2].partition(_BESIDES)[0]

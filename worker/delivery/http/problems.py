"""Puts what went wrong with a call into words for a person; never an empty text, never a secret.

`models.outbox.causes` reads the beginnings of these texts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

import pycurl

from models.settings.egress import EgressProxy
from worker.delivery.http.exchange import ConnectionOptions

HOW_TO_CHANGE_ACCESS: Final = "slipway operators access CODE"
_PROBLEM_CHARS_MAX: Final = 400
_DETAIL_CHARS_MAX: Final = 120
_SETTINGS_FRAME: Final = 4  # of HTTP/2: the first that a server sends, its type at byte 3
_FRAME_TYPE_AT: Final = 3
# Errors for which pycurl's own text would puzzle the reader, or is missing.
_PROBLEMS: Final[Mapping[int, str]] = {
    pycurl.E_SEND_FAIL_REWIND: "the connection was closed before a response came",
    100: "the headers of the response are too large",  # CURLE_TOO_LARGE, which pycurl does not name
}
_HTTP_2_ONLY: Final = "the partner accepts HTTP/2 only; Slipway calls over HTTP/1.1"
# As OpenSSL says it, and GnuTLS, in distributions that build with it.
_NO_CLOSE_NOTIFY: Final = ("unexpected eof while reading", "non-properly terminated")
# Alerts of a server that has refused the handshake for the client's certificate (RFC 8446, 6.2).
# With TLS 1.3 they arrive when the request is already on its way; a server that sends one has not
# read it, because what it has not authenticated it does not decrypt.
_ALERTS: Final[Mapping[str, str]] = {
    "certificate required": "none was sent",
    "certificate revoked": "it is revoked",
    "certificate expired": "it has expired",
    "unknown ca": "the partner does not know the authority that issued it",
    "bad certificate": "it cannot be verified",
    "certificate unknown": "it is not accepted",
    "unsupported certificate": "its kind is not supported",
    "access denied": "it has no access",
    "decrypt error": "its key does not fit",
}
# With TLS 1.2 this is all that many servers say to a client without a certificate. An alert there
# that ours has expired is reported by libcurl as a failed verification, without OpenSSL's number.
_HANDSHAKE_FAILURE: Final = "handshake failure"
_EXPIRED_ALERT: Final = "SSL certificate verification failed"
_NOT_VERIFIED: Final = frozenset({0, 1})  # X509_V_OK; libcurl's own, before it knows
_ALERT: Final = re.compile(rf"alert ({'|'.join(_ALERTS)})\b")
_OUR_KEY: Final = "private key"  # libcurl reports it under several numbers
_NOT_YET_VALID, _EXPIRED = 9, 10  # OpenSSL's numbers (X509_V_ERR_…)
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 27})
_ANOTHER_HOST: Final = ("no alternative certificate subject name", "does not match target host")
_PROXY_ERRORS: Final[Mapping[int, str]] = {
    pycurl.E_COULDNT_RESOLVE_PROXY: "its host has no address",
    pycurl.E_COULDNT_CONNECT: "it accepts no connection",
}
_NOT_LET_IN: Final = (
    "it does not accept the user or the password; correct them in SLIPWAY_PARTNER_PROXY"
)
_PROXY_STATUSES: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: _NOT_LET_IN,  # tinyproxy, to a wrong one
    HTTPStatus.FORBIDDEN: "it does not allow this partner; allow host and port there",
    HTTPStatus.METHOD_NOT_ALLOWED: "it opens no connections (CONNECT); allow them there",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _NOT_LET_IN,
}
_BAD_GATEWAY_MIN: Final = 500


@dataclass(frozen=True, slots=True)
class Trust:
    """What a call was made with, as far as it explains an error of TLS."""

    own_authorities: bool = False
    own_certificate: bool = False

    @classmethod
    def of(cls, options: ConnectionOptions) -> Self:
        """Return what a call with *options* is made with."""
        return cls(
            own_authorities=options.authorities is not None,
            own_certificate=options.certificate is not None,
        )


def describe_error(code: int, message: str) -> str:
    """Describe an error of libcurl for a person."""
    if "application protocol" in message:  # TLS: there is none that both support (ALPN)
        return f"{_HTTP_2_ONLY} ({message})"[:_PROBLEM_CHARS_MAX]
    problem = _PROBLEMS.get(code, message)[:_PROBLEM_CHARS_MAX]
    return problem or f"libcurl gave up with its error {code}"


def refuses_certificate(message: str) -> bool:
    """Return whether the partner ended the handshake because of our client certificate."""
    return _ALERT.search(message) is not None


def describe_tls(code: int, message: str, *, verified: int, trust: Trust) -> str | None:
    """Describe an error about a certificate, and what to change; None for any other error.

    *verified*: OpenSSL's number for what is wrong with the partner's certificate.
    """
    alert = _alert_in(message, verified, trust)
    if alert is not None:
        return _describe_alert(alert, trust)
    detail = message[:_DETAIL_CHARS_MAX]
    if trust.own_certificate and _OUR_KEY in message:
        code = pycurl.E_SSL_CERTPROBLEM
    match code:
        case pycurl.E_PEER_FAILED_VERIFICATION:
            return _describe_certificate(detail, verified, trust)
        case pycurl.E_SSL_CERTPROBLEM:
            return (
                "our client certificate cannot be used; give certificate and key again:"
                f" {HOW_TO_CHANGE_ACCESS} ({detail})"
            )
        case pycurl.E_SSL_CACERT_BADFILE if trust.own_authorities:
            return (
                "no authority can be read from the CA bundle of this operator; give it again:"
                f" {HOW_TO_CHANGE_ACCESS} ({detail})"
            )
        case _:
            return None


def describe_proxied(
    code: int, message: str, *, proxy: EgressProxy, status: int, verified: int
) -> str | None:
    """Describe an error on the way to the partner: the proxy's, or one behind it.

    *status*: with which the proxy answered; 0 if it did not. None: the tunnel was open.
    """
    if status and status // 100 != 2:  # noqa: PLR2004 - class of success
        meaning = _PROXY_STATUSES.get(status)
        if meaning is None and status >= _BAD_GATEWAY_MIN:
            meaning = "it cannot reach the partner; its own log says why"
        why = "" if meaning is None else f": {meaning}"
        return f"the proxy {proxy.address} answered {status}{why}"
    if status:
        return None
    detail = _PROXY_ERRORS.get(code) or message[:_DETAIL_CHARS_MAX]
    if code == pycurl.E_PEER_FAILED_VERIFICATION or verified:
        return (
            f"the proxy {proxy.address} has a certificate that is not trusted here; add its"
            f" authority to SLIPWAY_PARTNER_CA_FILE ({detail})"
        )
    return f"the proxy {proxy.address} opens no connection: {detail}"


def describe_refused(addresses: Sequence[str], *, proxy: EgressProxy | None = None) -> str:
    """Report that *addresses*, to which the partner's or proxy's name resolves, are not allowed."""
    first, *others = addresses
    more = f", nor is {', '.join(others)}" if others else ""
    if proxy is not None:
        return (
            f"the proxy {proxy.address} has the address {first}, which is not public{more}; if it"
            " is there, name its network in SLIPWAY_PARTNER_PROXY_NETWORKS"
        )
    return (
        f"the address {first} is not public{more}; if the partner may live there, name its network"
        " in SLIPWAY_PARTNER_NETWORKS"
    )


def describe_not_http(beginning: bytes) -> str:
    """Describe a response that has no status line."""
    if beginning[_FRAME_TYPE_AT : _FRAME_TYPE_AT + 1] == bytes([_SETTINGS_FRAME]):
        return f"answered in HTTP/2: {_HTTP_2_ONLY}"
    return "the response is not HTTP/1.1: it has no status line"


def lacks_close_notify(code: int, message: str) -> bool:
    """Return whether TLS ended without its closing message (close_notify)."""
    return code == pycurl.E_RECV_ERROR and any(text in message for text in _NO_CLOSE_NOTIFY)


def _alert_in(message: str, verified: int, trust: Trust) -> str | None:
    alert = _ALERT.search(message)
    if alert is not None:
        return alert[1]
    if trust.own_certificate and verified in _NOT_VERIFIED and _EXPIRED_ALERT in message:
        return "certificate expired"
    return _HANDSHAKE_FAILURE if f"alert {_HANDSHAKE_FAILURE}" in message else None


def _describe_alert(alert: str, trust: Trust) -> str:
    if alert == _HANDSHAKE_FAILURE:
        return _describe_handshake_failure(trust)
    if not trust.own_certificate:
        return (
            f"the partner asks for a client certificate; give the operator one:"
            f" {HOW_TO_CHANGE_ACCESS} (TLS alert: {alert})"
        )
    return (
        f"the partner refuses our client certificate: {_ALERTS[alert]}; agree with the partner on"
        f" one and give it to the operator: {HOW_TO_CHANGE_ACCESS} (TLS alert: {alert})"
    )


def _describe_handshake_failure(trust: Trust) -> str:
    reason = "refuses our" if trust.own_certificate else "asks for a"
    return (
        f"the partner breaks off the handshake of TLS: it {reason} client certificate"
        f" ({HOW_TO_CHANGE_ACCESS}), or no version and cipher of TLS is common to both; ask the"
        f" partner which (TLS alert: {_HANDSHAKE_FAILURE})"
    )


def _describe_certificate(detail: str, verified: int, trust: Trust) -> str:
    if any(text in detail for text in _ANOTHER_HOST):
        return f"the partner's certificate is for another host than that of its URL ({detail})"
    if verified == _EXPIRED:
        return (
            "the partner's certificate has expired, or one of its chain; the partner has to renew"
            f" it ({detail})"
        )
    if verified == _NOT_YET_VALID:
        return (
            "the partner's certificate is not valid yet; compare the clocks, here and there"
            f" ({detail})"
        )
    if verified not in _UNKNOWN_AUTHORITY:
        return f"the partner's certificate cannot be verified: {detail}"
    if trust.own_authorities:
        return (
            "the partner's certificate is from no authority in this operator's own CA bundle, which"
            " counts instead of the system's; if the partner has moved to another one or to a"
            f" public one, replace or remove that bundle: {HOW_TO_CHANGE_ACCESS} ({detail})"
        )
    return (
        "the partner's certificate is from no authority that is trusted here; if that is the"
        f" partner's own, give the operator its CA bundle: {HOW_TO_CHANGE_ACCESS}, or all of them"
        f" SLIPWAY_PARTNER_CA_FILE; else the partner has to serve its whole chain ({detail})"
    )

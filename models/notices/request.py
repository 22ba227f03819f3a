"""Builds the request around a notice's text: address and headers, by the partner's protocol.

The deliverer signs it and sends it; a page shows it as it was sent, without the signature. Both use
these functions, so what is shown is what is sent.
"""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final
from urllib.parse import quote

from models.notices.pam import PING
from models.platform.made_often import made_often
from models.platform.version import version
from models.tracing.traceparent import TRACEPARENT_NAME

SEAMLESS: Final = "seamless"
SEAMLESS_SIGNATURE_HEADER: Final = "x-amb-signature"
# What the deliverer's HTTP client adds to every request (`worker/delivery/http/transfer.py`).
FIXED_HEADERS: Final[Mapping[str, str]] = {"Accept-Encoding": "identity"}  # no compression
_JSON: Final = ("Content-Type", "application/json")
_PLAIN_KEY: Final = re.compile(r"[\w./-]*", re.ASCII)  # nearly all of them: nothing to quote
# All printable ASCII but `%`, which introduces what is quoted: different keys stay different.
_SAFE_IN_KEYS: Final = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@made_often
class OutgoingRequest:
    """What to POST, and where. The body is the text of the notice, byte for byte."""

    url: str = field(repr=False)  # its query may hold a password
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def default_user_agent(contact: str | None) -> str:
    """Return the user agent of partners without one of their own. *contact*: who answers for it."""
    return f"Slipway/{version()}" + ("" if contact is None else f" (+{contact})")


def pam_request(
    url: str, body: bytes, *, timestamp: str, signature: str, idempotency_key: str
) -> OutgoingRequest:
    """Build a signed PAM call (contracts 1.2).

    `Idempotency-Key` is operator, ticket, action and generation (H42); what a header cannot hold is
    percent-encoded in it.
    """
    return OutgoingRequest(
        url=url,
        headers={
            _JSON[0]: _JSON[1],
            "timestamp": timestamp,
            "signature": signature,
            "Idempotency-Key": _quoted(idempotency_key),
        },
        body=body,
    )


def ping_request(url: str) -> OutgoingRequest:
    """Build the ping of PAM, which is not signed (contracts 1.2)."""
    return OutgoingRequest(url=url, headers={_JSON[0]: _JSON[1]}, body=PING.encode())


def seamless_request(url: str, path: str, body: bytes, *, signature: str | None) -> OutgoingRequest:
    """Build a call to a seamless wallet, signed if it wants that (contracts 2.1).

    The call's *path* follows that of the URL; a query stays behind both.
    """
    headers = {_JSON[0]: _JSON[1]}
    if signature is not None:
        headers[SEAMLESS_SIGNATURE_HEADER] = signature
    address, mark, query = url.partition("?")
    url = f"{address.rstrip('/')}{path}{mark}{query}"
    return OutgoingRequest(url=url, headers=headers, body=body)


def with_trace(request: OutgoingRequest, traceparent: str) -> OutgoingRequest:
    """Return *request* with the trace that it belongs to, which no signature covers."""
    return replace(request, headers={**request.headers, TRACEPARENT_NAME: traceparent})


def _quoted(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else quote(key, safe=_SAFE_IN_KEYS)

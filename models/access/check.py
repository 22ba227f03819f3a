"""What is wrong with an access as a person describes it: every mistake, and never a secret."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from models.access.certificates import authorities_problems, certificate_problems
from models.access.values import Access, Header

HEADERS_MAX: Final = 64
VALUE_CHARACTERS_MAX: Final = 8 * 1024
PEM_CHARACTERS_MAX: Final = 256 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, 5.6.2
_BEARER: Final = re.compile(r"[!-~]+")
# What Slipway sets itself, what HTTP needs, and what would change how a message is read.
TAKEN_NAMES: Final = frozenset(
    {
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "accept-encoding",
        "user-agent",
        "idempotency-key",
        "timestamp",
        "signature",
        "x-amb-signature",
        "traceparent",
    }
)

Mistake = tuple[str, str]
"""The field at fault, and a sentence."""


def access_mistakes(access: Access, *, now: datetime) -> Iterator[Mistake]:
    """Find every mistake in *access*; the URL of a token endpoint is the caller's to check."""
    yield from _header_mistakes(access)
    yield from _method_mistakes(access)
    chain = None if access.certificate is None else access.certificate.chain
    for field, pem in (("certificate", chain), ("authorities", access.authorities)):
        if pem is not None and len(pem) > PEM_CHARACTERS_MAX:
            yield field, f"{field}: at most {PEM_CHARACTERS_MAX // 1024} KiB are taken"
            return
    if access.certificate is not None:
        for problem in certificate_problems(access.certificate, now=now):
            yield "certificate", problem
    if access.authorities is not None:
        for problem in authorities_problems(access.authorities, now=now):
            yield "authorities", problem


def _header_mistakes(access: Access) -> Iterator[Mistake]:
    if len(access.headers) > HEADERS_MAX:
        yield "headers", f"there are {len(access.headers)} headers; at most {HEADERS_MAX} are taken"
        return
    for number, header in enumerate(access.headers, start=1):
        for problem in _header_problems(header, number):
            yield "headers", problem
    counts = Counter(header.name.lower() for header in access.headers)
    for name, count in counts.items():
        if count > 1 and _TOKEN.fullmatch(name):
            yield "headers", f"header {name}: it is given {count} times"
    if "authorization" in counts and _methods(access):
        yield "headers", f"header Authorization: {_methods(access)[0]} sets it already"


def _header_problems(header: Header, number: int) -> Iterator[str]:
    if _TOKEN.fullmatch(header.name) is None:
        # The name is not shown: a person who confuses the two writes the value there.
        yield (
            f"header {number}: its name must be 1 to 100 letters, digits and signs of"
            " !#$%&'*+-.^_`|~, without spaces, colons or line breaks"
        )
        return
    name = header.name.lower()
    if name in TAKEN_NAMES or name.startswith("content-"):
        yield f"header {header.name}: Slipway or HTTP sets it; leave it out"
    value = header.value
    if not 1 <= len(value) <= VALUE_CHARACTERS_MAX:
        yield f"header {header.name}: its value must be 1 to {VALUE_CHARACTERS_MAX} characters"
    elif not (value.isascii() and value.isprintable() and value == value.strip()):
        yield (
            f"header {header.name}: its value must be printable ASCII on one line, without spaces"
            " at its ends"
        )


def _methods(access: Access) -> list[str]:
    given = (("Basic", access.basic), ("Bearer", access.bearer), ("OAuth", access.oauth))
    return [name for name, method in given if method is not None]


def _method_mistakes(access: Access) -> Iterator[Mistake]:
    methods = _methods(access)
    if len(methods) > 1:
        field = methods[1].lower()
        yield field, f"{' and '.join(methods)} exclude each other: all are sent as Authorization"
    if access.basic is not None:
        user, password = access.basic.user, access.basic.password
        if ":" in user or not _is_text(user):
            yield "basic", "Basic: the user must be printable text without a colon (RFC 7617)"
        if not _is_text(password):
            yield "basic", "Basic: the password must be printable text on one line"
    if access.bearer is not None and not _is_token(access.bearer):
        yield "bearer", "Bearer: the token must be printable ASCII without spaces, on one line"
    if access.oauth is not None:
        oauth = access.oauth
        for name in ("client_id", "client_secret", "scope", "audience"):
            text: str | None = getattr(oauth, name)
            if text is not None and not _is_text(text):
                yield "oauth", f"OAuth: {name} must be printable text on one line"


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= VALUE_CHARACTERS_MAX and text.isprintable()


def _is_token(text: str) -> bool:
    return len(text) <= VALUE_CHARACTERS_MAX and _BEARER.fullmatch(text) is not None

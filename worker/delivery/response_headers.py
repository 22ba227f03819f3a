"""Which of a response's headers are kept, and which of them only by name.

They are the partner's text: untrusted, and perhaps secret. They are kept of what is not a plain
success, for the person who has to find out what answered there: a proxy, a firewall, a login page.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from worker.delivery.http.exchange import HttpResponse

MASKED: Final = "(masked)"
TARGET_CHARACTERS_MAX: Final = 300
_SHOWN_IN_TARGETS: Final = ":/?#[]@!$&()*+,=%~"  # no blank, and nothing that ends a part of a text
# Session cookies and credentials. A challenge (`WWW-Authenticate`) is none, and says what is wrong.
_SECRET_NAMES: Final = re.compile(
    r"cookie|authorization|authentication-info|token|secret|api-?key|passw|session|credential",
    re.IGNORECASE,
)
_MAY_HOLD_ADDRESSES: Final = frozenset({"location", "content-location", "refresh", "link"})


def kept_headers(lines: Sequence[bytes], *, omitted: int = 0) -> dict[str, Any] | None:
    """Return what to store of the header *lines*, or None if there are none.

    `headers` holds names and values in their order; `omitted` counts those beyond the limits. The
    value of a cookie or credential is masked, and so is the query of an address.
    """
    headers = [list(header) for header in map(_header, lines) if header is not None]
    kept: dict[str, Any] = {"headers": headers} if headers else {}
    if omitted:
        kept["omitted"] = omitted
    return kept or None


def redirect_note(response: HttpResponse) -> str:
    """Return where a redirect leads, to be put behind a problem; empty if it is none.

    Redirects are not followed, so this is what a person needs to correct the URL.
    """
    if not 300 <= response.status <= 399:  # noqa: PLR2004 - class of redirects
        return ""
    for line in response.headers:
        name, _, value = line.partition(b":")
        target = _readable(value)
        if name.strip().lower() == b"location" and target:
            shown = quote(masked_address(target), safe=_SHOWN_IN_TARGETS)
            return f"; it redirects to {shown[:TARGET_CHARACTERS_MAX]}"
    return ""


def masked_address(address: str) -> str:
    """Return *address* without what may be secret in it: user and password, query and fragment."""
    beginning, mark, _ = address.partition("?")
    beginning = beginning.partition("#")[0]
    scheme, slashes, rest = beginning.partition("//")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    shown = f"{scheme}{slashes}{MASKED if user or at else ''}{at}{host}{slash}{path}"
    return f"{shown}?{MASKED}" if mark else shown


def _header(line: bytes) -> tuple[str, str] | None:
    name, colon, value = line.partition(b":")
    if not colon:
        return None
    readable = _readable(name)
    return readable, _masked(readable, _readable(value))


def _masked(name: str, value: str) -> str:
    if _SECRET_NAMES.search(name):
        return MASKED
    if name.lower() in _MAY_HOLD_ADDRESSES:
        return masked_address(value)
    return value


def _readable(text: bytes) -> str:
    """Return *text* without characters that a terminal or PostgreSQL's jsonb refuses."""
    decoded = text.decode(errors="replace").strip()
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded)

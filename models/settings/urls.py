"""Takes a server's URL apart. It may contain a password, so no message here repeats any of it.

The host alone is named, where no part of a password can be taken for it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

_PORTS: Final = range(1, 2**16)
_PLACE: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
_PLACES: Final = re.compile(f"{_PLACE}(?:,{_PLACE})*", re.ASCII)
_BROKEN_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_ESCAPES: Final = (
    "special characters in a password must be percent-encoded: @ as %40, / as %2F, # as %23,"
    " ? as %3F"
)


@contextmanager
def naming_host(url: str) -> Iterator[None]:
    """Add the host in *url* to the ValueError that the block raises, if it can be told."""
    try:
        yield
    except ValueError as error:
        text, host = str(error), shown_host(url)
        if host is not None and not re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w.-])", text):
            text = f"{text} (host: {host})"
        raise ValueError(text) from None  # the cause could carry the URL into a log


def shown_host(url: str) -> str | None:
    """Return host and port of *url*, or of each of its servers, even if *url* is not valid.

    None if there is none, or if what looks like one could be a part of a password.
    """
    _, separator, rest = url.strip().partition("://")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not separator or "#" in rest or rest.count("@") != netloc.count("@"):
        return None
    login, at, hosts = netloc.rpartition("@")
    if "@" in login:
        return None
    if at and not _PLACES.fullmatch(hosts):
        hosts = hosts.partition(":")[0]  # what stands behind it is no port
    return hosts if _PLACES.fullmatch(hosts) else None


def stripped(url: str) -> str:
    """Strip *url*. Raises ValueError for a space or control character inside it."""
    text = url.strip()
    if not text.isprintable() or " " in text:
        raise ValueError(
            "not a readable URL: it holds a space or a control character; percent-encode it,"
            " a space as %20"
        )
    return text


def split_url(url: str) -> SplitResult:
    """Split *url*. Raises ValueError where it is unclear where its password ends.

    Each client looks for the end in its own way, and would show the rest as a host or a database.
    """
    netloc = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    login, _, place = netloc.rpartition("@")
    if url.count("@") > netloc.count("@") or "@" in login or "#" in url:
        raise ValueError(f"not a readable URL; {_ESCAPES}")
    _check_escapes(login)
    if place.count(":") > 1 and not place.startswith("["):
        raise ValueError(
            "not a readable URL: an IPv6 address stands in brackets, with its port behind them:"
            " [2001:db8::1]:6379"
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(
            "not a readable URL: brackets belong around an IPv6 address alone; in a password"
            " write [ as %5B, ] as %5D"
        ) from None
    _check_port(parts)
    return parts  # its scheme is in lower case


def _check_escapes(login: str) -> None:
    try:
        unquote_to_bytes(login).decode()
    except UnicodeDecodeError:
        escapes = False
    else:
        escapes = _BROKEN_ESCAPE.search(login) is None
    if not escapes:
        raise ValueError(
            "not a readable URL: a % in user or password begins an escape (UTF-8, two hexadecimal"
            " digits for each byte); write the % itself as %25"
        )


def _check_port(parts: SplitResult) -> None:
    try:
        valid = parts.port is None or parts.port in _PORTS
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            "not a readable URL: its port is a number from 1 to 65535, behind host and colon;"
            f" {_ESCAPES}"
        )

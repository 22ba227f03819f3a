"""The servers' addresses: checked, and written the one way the drivers need them.

An address may carry a password, so no message here repeats one.
"""

from typing import Final
from urllib.parse import urlsplit

_DATABASE_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
_REDIS_SCHEMES: Final = ("redis", "rediss")


def database_address(url: str) -> str:
    """Write a PostgreSQL URL for SQLAlchemy on psycopg 3: `postgresql+psycopg://…`.

    `postgres://` and `postgresql://`, as providers hand them out, are taken too.
    Raises ValueError for another scheme or a URL that cannot be read; it does not repeat the URL.
    """
    scheme = _scheme(url)
    if scheme not in _DATABASE_SCHEMES:
        raise ValueError(
            "not a PostgreSQL URL; write postgresql://user:password@host:5432/database"
        )
    return "postgresql+psycopg" + url[len(scheme) :]


def redis_address(url: str) -> str:
    """Check the URL of a Redis or Valkey: `redis://…`, or `rediss://…` for TLS.

    Raises ValueError for another scheme, Sentinel and Cluster included (design: one endpoint that
    follows the primary); it does not repeat the URL.
    """
    if _scheme(url) not in _REDIS_SCHEMES or not urlsplit(url).hostname:
        raise ValueError(
            "not a Redis URL; write redis://user:password@host:6379/0 (rediss:// for TLS)."
            " Sentinel and Cluster are not supported: name one endpoint that follows the primary"
        )
    return url


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port  # asked for its check: it raises when the port is no number
    except ValueError:
        raise ValueError(
            "not a URL that can be read; special characters in a password must be"
            " percent-encoded, for instance @ as %40 and / as %2F"
        ) from None
    return parts.scheme.lower()

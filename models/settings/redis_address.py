"""The address of a Redis or Valkey: checked, and in the one form that every client reads alike.

It may contain a password, so no message here repeats one, or a part of one.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode

from models.settings.redis_tls import OPTIONS, RedisTls, expiring_files, file_problems, read_tls
from models.settings.urls import split_url, stripped

_DATABASE_NUMBER: Final = re.compile(r"/?|/[0-9]{1,9}")
_NO_TLS: Final = "redis"
_TLS: Final = "rediss"


def redis_address(url: str) -> str:
    """Check the URL of a Redis or Valkey, and return it in a form that all clients read alike.

    `redis://…`, or `rediss://…` for TLS, whose files may follow: `ssl_ca_certs` and the like.
    Raises ValueError for another scheme, Sentinel and Cluster included (Slipway connects to one
    endpoint that follows the primary), for an option that not every client understands, and for
    one that would verify less; the error does not repeat the URL.
    """
    parts = split_url(stripped(url))
    if parts.scheme not in (_NO_TLS, _TLS) or not parts.hostname or "," in parts.netloc:
        raise ValueError(
            "not a Redis URL; write redis://user:password@host:6379/0 (rediss:// for TLS)."
            " Sentinel and Cluster are not supported: name one endpoint that follows the primary"
        )
    if ";" in url:  # kombu would read what follows as a second server
        raise ValueError("a ; in a Redis URL must be percent-encoded, as %3B")
    if _DATABASE_NUMBER.fullmatch(parts.path) is None:  # redis-py would use 0, kombu would stop
        raise ValueError(
            "the part behind the host of a Redis URL is the number of a database, as in"
            " redis://host:6379/0"
        )
    tls = _tls(parts)
    return parts._replace(query="" if tls is None else urlencode(tls.files)).geturl()


def redis_tls(url: str) -> RedisTls | None:
    """Return how the Redis at *url* is verified, or None if it is used without TLS."""
    return _tls(split_url(url))


def redis_host(url: str) -> str:
    """Return host and port of *url*, which may be shown."""
    parts = split_url(url)
    return f"{parts.hostname}:{parts.port or 6379}"


def redis_files_problems(urls: Mapping[str, str], *, now: datetime) -> Iterator[str]:
    """Find what is wrong at *now* with the files that *urls* name: valid ones, by their setting.

    A URL that two settings share is reported for the first.
    """
    checked: set[str] = set()
    for setting, url in urls.items():
        tls = redis_tls(url)
        if tls is not None and url not in checked:
            checked.add(url)
            for problem in file_problems(tls, host=redis_host(url), now=now):
                yield f"{setting}: {problem}"


def redis_files_expiring(url: str, *, now: datetime, within: timedelta) -> Iterator[str]:
    """Name the certificates in the files of *url*, which are valid, that expire *within* this."""
    tls = redis_tls(url)
    if tls is not None:
        yield from expiring_files(tls, now=now, within=within)


def without_options(url: str) -> str:
    """Return *url* without its options, which kombu reads in another way."""
    return split_url(url)._replace(query="").geturl()


def _tls(parts: SplitResult) -> RedisTls | None:
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    if not options.keys() <= set(OPTIONS) or len(given) != len(options):
        raise ValueError(
            f"a Redis URL takes these options, each once: {', '.join(OPTIONS)}; special characters"
            " in a password must be percent-encoded, for instance ? as %3F"
        )
    if parts.scheme != _TLS:
        if options:
            raise ValueError("ssl_ options need rediss://: a redis:// URL is not encrypted")
        return None
    return read_tls(options, host=parts.hostname or "")

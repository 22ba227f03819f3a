"""The servers' addresses: checked, and written the one way the drivers need them.

An address may carry a password, so no message here repeats one, nor a part of one.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_DATABASE_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
_PLAIN: Final = "redis"
_TLS: Final = "rediss"
_VERIFY: Final = "ssl_cert_reqs"
_HOSTNAME: Final = "ssl_check_hostname"
_FILES: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password")
_OPTIONS: Final = (_VERIFY, _HOSTNAME, *_FILES)
_YES_AND_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class RedisTls:
    """How a client verifies the Redis it connects to."""

    verified: bool = True  # the certificate comes from an authority that is trusted
    hostname_checked: bool = True  # and it is made out for the host in the URL
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # a key's password among it

    def options(self) -> dict[str, object]:
        """Give redis-py's arguments, which are Celery's `broker_use_ssl` too; each is explicit.

        What is left out there means "verified" to redis-py and "not verified" to kombu.
        """
        return {
            _VERIFY: ssl.CERT_REQUIRED if self.verified else ssl.CERT_NONE,
            _HOSTNAME: self.hostname_checked,
            **self.files,
        }


def database_address(url: str) -> str:
    """Write a PostgreSQL URL for SQLAlchemy on psycopg 3: `postgresql+psycopg://…`.

    `postgres://` and `postgresql://`, as providers hand them out, are taken too.
    Raises ValueError for another scheme or a URL that cannot be read; it does not repeat the URL.
    """
    scheme = _parts(url).scheme
    if scheme not in _DATABASE_SCHEMES:
        raise ValueError(
            "not a PostgreSQL URL; write postgresql://user:password@host:5432/database"
        )
    return "postgresql+psycopg" + url[len(scheme) :]


def redis_address(url: str) -> str:
    """Check the URL of a Redis or Valkey, and write it so that all clients read the same in it.

    `redis://…`, or `rediss://…` for TLS, whose options may follow: `ssl_ca_certs` and the like.
    Raises ValueError for another scheme, Sentinel and Cluster included (design: one endpoint that
    follows the primary), and for an option that not every client understands; it does not repeat
    the URL.
    """
    parts = _parts(url)
    if parts.scheme not in (_PLAIN, _TLS) or not parts.hostname:
        raise ValueError(
            "not a Redis URL; write redis://user:password@host:6379/0 (rediss:// for TLS)."
            " Sentinel and Cluster are not supported: name one endpoint that follows the primary"
        )
    if ";" in url:  # kombu would take what follows for a second server
        raise ValueError("a ; in a Redis URL must be percent-encoded, as %3B")
    if parts.fragment:  # redis-py drops it, kombu too: most likely the rest of a password
        raise ValueError("a # in a Redis URL must be percent-encoded, as %23")
    tls = _tls(parts)
    return parts._replace(query="" if tls is None else _query(tls)).geturl()


def redis_tls(url: str) -> RedisTls | None:
    """Read how the Redis at *url* is verified; None: it is spoken to without TLS."""
    return _tls(_parts(url))


def without_options(url: str) -> str:
    """Give *url* as kombu takes it, whose own reading of options is another one."""
    return _parts(url)._replace(query="").geturl()


def _tls(parts: SplitResult) -> RedisTls | None:
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    if not options.keys() <= set(_OPTIONS) or len(given) != len(options):
        raise ValueError(
            f"a Redis URL takes these options, each once: {', '.join(_OPTIONS)}; special characters"
            " in a password must be percent-encoded, for instance ? as %3F"
        )
    if parts.scheme != _TLS:
        if options:
            raise ValueError("ssl_ options need rediss://: a redis:// URL is not encrypted")
        return None
    if empty := [name for name in _FILES if name in options and not options[name]]:
        raise ValueError(f"{empty[0]} in the Redis URL is empty")
    if "ssl_certfile" not in options and {"ssl_keyfile", "ssl_password"} & options.keys():
        raise ValueError("ssl_keyfile and ssl_password in the Redis URL need ssl_certfile")
    verified = _is_verified(options.get(_VERIFY, "required"))
    return RedisTls(
        verified=verified,
        hostname_checked=_is_yes(options.get(_HOSTNAME, "true")) and verified,
        files={name: options[name] for name in _FILES if name in options},
    )


def _query(tls: RedisTls) -> str:
    words: dict[str, str] = {}
    if not tls.verified:
        words[_VERIFY] = "none"
    elif not tls.hostname_checked:
        words[_HOSTNAME] = "false"
    return urlencode({**words, **tls.files})


def _is_verified(word: str) -> bool:
    """Read `ssl_cert_reqs`. A server always shows a certificate: `optional` is `required`."""
    if word not in ("required", "optional", "none"):  # redis-py's own words, letter by letter
        raise ValueError("ssl_cert_reqs in the Redis URL must be required (the default) or none")
    return word != "none"


def _is_yes(word: str) -> bool:
    if (answer := _YES_AND_NO.get(word.lower())) is None:
        raise ValueError("ssl_check_hostname in the Redis URL must be true (the default) or false")
    return answer


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # asked for its check: it raises when the port is no number
    except ValueError:
        raise ValueError(
            "not a URL that can be read; special characters in a password must be"
            " percent-encoded, for instance @ as %40 and / as %2F"
        ) from None
    return parts  # its scheme is in lower case

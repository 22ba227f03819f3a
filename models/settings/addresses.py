"""The servers' addresses: checked, and in the one form that the drivers need.

An address may contain a password, so no message here repeats one, or a part of one.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_DATABASE_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
_POSTGRES: Final = "postgresql+psycopg"
_POSTGRES_PORT: Final = 5432
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
# What `models.database.engine` sets on each connection: the same in a URL would be ignored.
_SET_BY_US: Final = frozenset(
    {
        "application_name",
        "client_encoding",
        "connect_timeout",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
_OPTIONS_OF_A_SESSION: Final = re.compile(
    r"\s*(?:-c\s*|--)search_path=(?:[^\s\\]|\\.)+\s*", re.IGNORECASE
)
_DATABASE_NUMBER: Final = re.compile(r"/?|/[0-9]{1,9}")
_NO_TLS: Final = "redis"
_TLS: Final = "rediss"
_VERIFY: Final = "ssl_cert_reqs"
_HOSTNAME: Final = "ssl_check_hostname"
_FILES: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password")
_OPTIONS: Final = (_VERIFY, _HOSTNAME, *_FILES)
_YES_AND_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class RedisTls:
    """How a client verifies the Redis it connects to."""

    verified: bool = True  # the certificate comes from a trusted authority
    hostname_checked: bool = True  # and is issued for the host in the URL
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # and a key's password

    def options(self) -> dict[str, object]:
        """Return redis-py's arguments, which are Celery's `broker_use_ssl` too; each is explicit.

        An argument that is left out means "verified" to redis-py and "not verified" to kombu.
        """
        return {
            _VERIFY: ssl.CERT_REQUIRED if self.verified else ssl.CERT_NONE,
            _HOSTNAME: self.hostname_checked,
            **self.files,
        }


def database_address(url: str) -> str:
    """Return a PostgreSQL URL for SQLAlchemy on psycopg 3: `postgresql+psycopg://…`.

    `postgres://` and `postgresql://`, as providers give them, are accepted too. Several hosts, as
    libpq accepts them (`a:5432,b:5432`), become parameters; the one that accepts writes is used.
    Raises ValueError for another scheme, an ambiguous URL, and a parameter that Slipway sets
    itself; the error does not repeat the URL.
    """
    stripped = _stripped(url)
    scheme, _, rest = stripped.partition("://")
    if scheme.lower() not in _DATABASE_SCHEMES:
        raise ValueError(
            "not a PostgreSQL URL; write postgresql://user:password@host:5432/database"
        )
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, hosts = netloc.rpartition("@")
    if "," in hosts:
        path, _, query = rest[len(netloc) :].partition("?")
        query = "&".join([*filter(None, [query]), *_each(hosts)])
        if "target_session_attrs=" not in query:
            query += "&target_session_attrs=read-write"
        rest = f"{login}{at}{path or '/'}?{query}"
    parts = _parts(f"{_POSTGRES}://{rest}")
    _check_parameters(parts.query)
    return f"{_POSTGRES}://{rest}"


def options_of(address: str) -> str:
    """Return the session's `options` from a URL that `database_address` returned."""
    return dict(parse_qsl(urlsplit(address).query)).get("options", "")


def _each(hosts: str) -> Iterator[str]:
    for host in hosts.split(","):
        if _HOST.fullmatch(host) is None:
            raise ValueError(
                "several hosts in a database URL are names or IPv4 addresses, each with its port:"
                " postgresql://user:password@a:5432,b:5432/database"
            )
        name, _, port = host.partition(":")
        yield f"host={name}:{port or _POSTGRES_PORT}"


def _check_parameters(query: str) -> None:
    """Raise ValueError for what would be overwritten silently, or shown in errors."""
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    if taken := [name for name in names if name in _SET_BY_US]:
        raise ValueError(f"{taken[0]} in the database URL: Slipway sets it itself; leave it out")
    if "password" in names:
        raise ValueError(
            "the password in a database URL belongs before the host:"
            " postgresql://user:password@host:5432/database"
        )
    options = dict(parse_qsl(query)).get("options", "")
    if options and _OPTIONS_OF_A_SESSION.fullmatch(options) is None:
        raise ValueError(
            "options in the database URL may set search_path and nothing else; percent-encoded:"
            " ?options=-c%20search_path%3Dslipway"
        )


def redis_address(url: str) -> str:
    """Check the URL of a Redis or Valkey, and return it in a form that all clients read alike.

    `redis://…`, or `rediss://…` for TLS, whose options may follow: `ssl_ca_certs` and the like.
    Raises ValueError for another scheme, Sentinel and Cluster included (Slipway connects to one
    endpoint that follows the primary), and for an option that not every client understands; the
    error does not repeat the URL.
    """
    parts = _parts(_stripped(url))
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
    return parts._replace(query="" if tls is None else _query(tls)).geturl()


def redis_tls(url: str) -> RedisTls | None:
    """Return how the Redis at *url* is verified, or None if it is used without TLS."""
    return _tls(_parts(url))


def without_options(url: str) -> str:
    """Return *url* without its options, which kombu reads in another way."""
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
    options: dict[str, str] = {}
    if not tls.verified:
        options[_VERIFY] = "none"
    elif not tls.hostname_checked:
        options[_HOSTNAME] = "false"
    return urlencode({**options, **tls.files})


def _is_verified(word: str) -> bool:
    """Read `ssl_cert_reqs`. A server always shows a certificate: `optional` means `required`."""
    if word not in ("required", "optional", "none"):  # redis-py's own values
        raise ValueError("ssl_cert_reqs in the Redis URL must be required (the default) or none")
    return word != "none"


def _is_yes(word: str) -> bool:
    if (value := _YES_AND_NO.get(word.lower())) is None:
        raise ValueError("ssl_check_hostname in the Redis URL must be true (the default) or false")
    return value


def _stripped(url: str) -> str:
    """Strip *url*. Raises ValueError for a space or control character inside it."""
    stripped = url.strip()
    if not stripped.isprintable() or " " in stripped:
        raise ValueError(
            "not a readable URL: it holds a space or a control character; percent-encode it,"
            " a space as %20"
        )
    return stripped


def _parts(url: str) -> SplitResult:
    """Split *url*. Raises ValueError where it is unclear where its password ends.

    Each client looks for the end in its own way, and would show the rest as a host or a database.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when the port is not a number
    except ValueError:
        raise _unreadable() from None
    if url.count("@") > parts.netloc.count("@") or parts.netloc.count("@") > 1 or "#" in url:
        raise _unreadable()
    return parts  # its scheme is in lower case


def _unreadable() -> ValueError:
    return ValueError(
        "not a readable URL; special characters in a password must be percent-encoded:"
        " @ as %40, / as %2F, # as %23, ? as %3F"
    )

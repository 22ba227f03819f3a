"""The address of a Redis or Valkey: checked, and in the one form that every client reads alike.

It may contain a password, so no message here repeats one, or a part of one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import starmap
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode

from models.settings.listening import host_and_port
from models.settings.redis_cluster import ClusterAddress
from models.settings.redis_tls import OPTIONS, RedisTls, read_tls
from models.settings.urls import naming_host, split_url, stripped

_DATABASE_NUMBER: Final = re.compile(r"/?|/[0-9]{1,9}")
_DATABASE_ZERO: Final = ("", "/", "/0")  # the only one of a cluster
_SCHEMES: Final = ("redis", "rediss")
_SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
_CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_SENTINEL_USER: Final = "sentinel_user"
_SENTINEL_PASSWORD: Final = "sentinel_password"  # noqa: S105 - an option's name
_SENTINEL_OPTIONS: Final = (_SENTINEL_USER, _SENTINEL_PASSWORD)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
# The name of the primary, and perhaps the number of a database.
_PRIMARY: Final = re.compile(r"/(?P<name>[A-Za-z0-9._-]+)(?:/(?P<database>[0-9]{1,9})?)?")
_SENTINEL_EXAMPLE: Final = "redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/mymaster/0"
_CLUSTER_EXAMPLE: Final = "redis+cluster://user:password@n1:6379,n2:6379,n3:6379"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Who knows the primary, what it is called there, and how both are logged in to."""

    sentinels: tuple[tuple[str, int], ...]
    primary: str
    database: int
    login: Mapping[str, str] = field(repr=False)  # redis-py's arguments, at the primary
    sentinel_login: Mapping[str, str] = field(repr=False)
    tls: RedisTls | None

    def encryption(self) -> dict[str, object]:
        """Return redis-py's arguments for TLS, the same for sentinels and primary."""
        return {} if self.tls is None else {"ssl": True, **self.tls.options()}

    @property
    def not_found(self) -> str:
        """What is wrong if none of them names a primary."""
        return f"none of the sentinels {self.hosts} names a primary {self.primary} that is up"

    @property
    def hosts(self) -> str:
        """The sentinels, for a person."""
        return ",".join(starmap(host_and_port, self.sentinels))


def redis_address(url: str) -> str:
    """Check the URL of a Redis or Valkey, and return it in a form that all clients read alike.

    `redis://…`, or `rediss://…` for TLS, whose files may follow: `ssl_ca_certs` and the like; or
    `redis+sentinel://…` and `rediss+sentinel://…` with several hosts, which `sentinel_address`
    takes apart; or `redis+cluster://…` and `rediss+cluster://…` (`cluster_address`). Raises
    ValueError for another scheme, for an option that not every client understands, and for one that
    would verify less; the error names the host and repeats nothing else of the URL.
    """
    with naming_host(url):
        return _checked(stripped(url))


def _checked(text: str) -> str:
    if ";" in text:  # kombu would read what follows as a second server
        raise ValueError("a ; in a Redis URL must be percent-encoded, as %3B")
    if _is_sentinel(text):
        sentinel_address(text)
        return text
    if _is_cluster(text):
        cluster_address(text)
        return text
    parts = split_url(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or "," in parts.netloc:
        raise ValueError(
            "not a Redis URL; write redis://user:password@host:6379/0 (rediss:// for TLS), or with"
            f" Sentinel {_SENTINEL_EXAMPLE}, or on a cluster {_CLUSTER_EXAMPLE}"
        )
    if _DATABASE_NUMBER.fullmatch(parts.path) is None:  # redis-py would use 0, kombu would stop
        raise ValueError(
            "the part behind the host of a Redis URL is the number of a database, as in"
            " redis://host:6379/0"
        )
    tls = _tls(parts.scheme, _options(parts.query, OPTIONS), parts.hostname)
    return parts._replace(query="" if tls is None else urlencode(tls.files)).geturl()


def sentinel_address(url: str) -> SentinelAddress | None:
    """Take apart a URL that names sentinels; None if it names Redis itself.

    Raises ValueError if it is not valid; the error does not repeat the URL.
    """
    if not _is_sentinel(url):
        return None
    several = _several(url, "sentinel", port=_SENTINEL_PORT, example=_SENTINEL_EXAMPLE)
    sentinels, parts = several.places, several.rest
    named = _PRIMARY.fullmatch(parts.path)
    if named is None:
        raise ValueError(
            "behind the sentinels of a Redis URL stand the primary's name and the number of a"
            f" database, as in {_SENTINEL_EXAMPLE}"
        )
    options = _options(parts.query, (*OPTIONS, *_SENTINEL_OPTIONS))
    if _SENTINEL_USER in options and _SENTINEL_PASSWORD not in options:
        raise ValueError(f"{_SENTINEL_USER} in a Redis URL needs {_SENTINEL_PASSWORD}")
    of_tls = {name: value for name, value in options.items() if name in OPTIONS}
    at_sentinels = {
        "username": options.get(_SENTINEL_USER),
        "password": options.get(_SENTINEL_PASSWORD),
    }
    return SentinelAddress(
        sentinels=sentinels,
        primary=named["name"],
        database=int(named["database"] or 0),
        login=several.login,
        sentinel_login={name: value for name, value in at_sentinels.items() if value},
        tls=_tls(several.scheme, of_tls, several.hosts),
    )


def cluster_address(url: str) -> ClusterAddress | None:
    """Take apart a URL that names nodes of a cluster; None if it is another one.

    Raises ValueError if it is not valid; the error does not repeat the URL.
    """
    if not _is_cluster(url):
        return None
    several = _several(url, "node", port=_PORT, example=_CLUSTER_EXAMPLE)
    if several.rest.path not in _DATABASE_ZERO:
        raise ValueError(
            "a Redis Cluster has no numbered databases: leave out what stands behind its nodes, as"
            f" in {_CLUSTER_EXAMPLE}; several installations on one differ by SLIPWAY_STREAM"
        )
    options = _options(several.rest.query, OPTIONS)
    tls = _tls(several.scheme, options, several.hosts)
    return ClusterAddress(several.places, several.login, tls)


def redis_tls(url: str) -> RedisTls | None:
    """Return how the Redis at *url* is verified, or None if it is used without TLS."""
    if (address := sentinel_address(url) or cluster_address(url)) is not None:
        return address.tls
    parts = split_url(url)
    return _tls(parts.scheme, _options(parts.query, OPTIONS), parts.hostname or "")


def redis_host(url: str) -> str:
    """Return host and port of *url*, which may be shown; of each sentinel or node, if several."""
    if (address := sentinel_address(url) or cluster_address(url)) is not None:
        return address.hosts
    parts = split_url(url)
    return host_and_port(parts.hostname or "", parts.port or _PORT)


def redis_database(url: str) -> tuple[str, str]:
    """Return where *url* leads to, with any user: equal for two URLs of one database."""
    if (address := sentinel_address(url)) is not None:
        return address.hosts, f"{address.primary}/{address.database}"
    if (cluster := cluster_address(url)) is not None:
        return cluster.hosts, "0"
    return redis_host(url), split_url(url).path.strip("/") or "0"


def kombu_url(url: str) -> str:
    """Return *url* as kombu reads it: without options; each sentinel as a URL of its own."""
    address = sentinel_address(url)
    if address is None:
        return split_url(url)._replace(query="").geturl()
    user, password = (
        quote(address.login.get(name, ""), safe="") for name in ("username", "password")
    )
    login = f"{user}:{password}@" if address.login else ""
    return ";".join(
        f"sentinel://{login}{host_and_port(*sentinel)}/{address.database}"
        for sentinel in address.sentinels
    )


def _is_sentinel(url: str) -> bool:
    return url.partition("://")[0].lower() in _SENTINEL_SCHEMES


def _is_cluster(url: str) -> bool:
    return url.partition("://")[0].lower() in _CLUSTER_SCHEMES


@dataclass(frozen=True, slots=True)
class _Several:
    """A URL with several hosts, taken apart."""

    scheme: str  # of one of the servers
    hosts: str
    places: tuple[tuple[str, int], ...]
    rest: SplitResult
    login: Mapping[str, str] = field(repr=False)


def _several(url: str, kind: str, *, port: int, example: str) -> _Several:
    scheme, _, rest = url.partition("://")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, _, hosts = netloc.rpartition("@")
    places = tuple(_place(host, kind, port=port, example=example) for host in hosts.split(","))
    # What is left is an ordinary URL, in which it must be clear where the password ends.
    parts = split_url(f"redis://{login}@{host_and_port(*places[0])}{rest[len(netloc) :]}")
    if len(set(places)) < len(places):
        raise ValueError(f"a Redis URL names each {kind} once")
    given = {"username": parts.username, "password": parts.password}
    return _Several(
        scheme=scheme.lower().partition("+")[0],
        hosts=hosts,
        places=places,
        rest=parts,
        login={name: unquote(value) for name, value in given.items() if value},
    )


def _place(text: str, kind: str, *, port: int, example: str) -> tuple[str, int]:
    given = _HOST.fullmatch(text)
    if given is None or not 0 < int(given["port"] or port) < 2**16:
        raise ValueError(
            f"the {kind}s of a Redis URL are names or addresses, each with its port, separated by"
            f" commas, as in {example}; special characters in a password must be"
            " percent-encoded: @ as %40, / as %2F, # as %23, ? as %3F"
        )
    return given["host"].strip("[]"), int(given["port"] or port)


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    if not options.keys() <= set(known) or len(given) != len(options):
        raise ValueError(
            f"a Redis URL takes these options, each once: {', '.join(known)}; special characters"
            " in a password must be percent-encoded, for instance ? as %3F"
        )
    return options


def _tls(scheme: str, options: Mapping[str, str], host: str) -> RedisTls | None:
    if scheme != "rediss":
        if options:
            raise ValueError("ssl_ options need rediss://: a redis:// URL is not encrypted")
        return None
    return read_tls(options, host=host)

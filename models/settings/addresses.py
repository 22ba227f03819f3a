"""The database's address: checked, and in the one form that the driver needs.

An address may contain a password, so no message here repeats one, or a part of one.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from ipaddress import IPv6Address
from itertools import starmap
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from models.settings.listening import host_and_port
from models.settings.urls import naming_host, split_url, stripped

_DATABASE_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
_POSTGRES: Final = "postgresql+psycopg"
_PORT: Final = 5432
_PORT_MAX: Final = 65535
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[^:]*))?")
_EXAMPLE: Final = "postgresql://user:password@a:5432,b:5432/database"
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
# The other parameters of libpq 18, which psycopg brings.
_OF_LIBPQ: Final = frozenset(
    (
        "channel_binding", "dbname", "fallback_application_name", "gssdelegation", "gssencmode",
        "gsslib", "host", "hostaddr", "krbsrvname", "load_balance_hosts",
        "max_protocol_version", "min_protocol_version", "oauth_client_id",
        "oauth_client_secret", "oauth_issuer", "oauth_scope", "options", "passfile", "port",
        "replication", "require_auth", "requirepeer", "scram_client_key", "scram_server_key",
        "service", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert",
        "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile",
        "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni",
        "target_session_attrs", "user",
    )
)  # fmt: skip
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSION: Final = "target_session_attrs"
_PLACE: Final = ("host", "port", _SESSION)
_NAME_A_SERVER: Final = frozenset({"hostaddr", "service"})  # besides a host
_WRITABLE: Final = "read-write"
_SESSIONS: Final = (_WRITABLE, "primary", "any")  # those that can write
_OPTIONS_OF_A_SESSION: Final = re.compile(
    r"\s*(?:-c\s*|--)search_path=(?P<path>(?:[^\s\\]|\\.)+)\s*", re.IGNORECASE
)

Given = Sequence[tuple[str, str]]  # the parameters, in their order
Host = tuple[str, int]  # with its port


def database_address(url: str) -> str:
    """Return a PostgreSQL URL for SQLAlchemy on psycopg 3: `postgresql+psycopg://…`.

    `postgres://` and `postgresql://`, as providers give them, are accepted too. Several hosts, as
    libpq accepts them (`a:5432,b:5432`, or `?host=a,b&port=5432`), become parameters; the one that
    accepts writes is used. Raises ValueError for another scheme, an ambiguous URL, hosts and ports
    that do not fit, and a parameter that is unknown, cannot work or is Slipway's own to set; the
    error names the host and repeats nothing else of the URL.
    """
    with naming_host(url):
        return _checked(stripped(url))


def _checked(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _DATABASE_SCHEMES:
        raise ValueError(
            "not a PostgreSQL URL; write postgresql://user:password@host:5432/database"
        )
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, named = netloc.rpartition("@")
    # First it must be clear where the password ends: what follows may be shown.
    split_url(f"{_POSTGRES}://{f'{login}@host' if at else ''}{rest[len(netloc) :]}")
    path, _, query = rest[len(netloc) :].partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    hosts = _hosts(named, given)
    _check_parameters(given)
    nowhere = not (hosts or _NAME_A_SERVER & dict(given).keys())
    if named.startswith(":") or (nowhere and not path.strip("/")):
        raise ValueError(
            "the database URL names no host; write postgresql://user:password@host:5432/database,"
            " or for a socket of this machine ?host=/var/run/postgresql"
        )
    if len(hosts) < 2:  # noqa: PLR2004 - several
        return split_url(f"{_POSTGRES}://{rest}").geturl()
    leading_to = (
        "host=" + ",".join(quote(host, safe=":") for host, _ in hosts),
        "port=" + ",".join(str(port) for _, port in hosts),
        f"{_SESSION}={dict(given).get(_SESSION, _WRITABLE)}",
    )
    kept = [part for part in query.split("&") if part.partition("=")[0] not in ("", *_PLACE)]
    return f"{_POSTGRES}://{login}{at}{path or '/'}?{'&'.join((*kept, *leading_to))}"


def database_hosts(address: str) -> Sequence[Host]:
    """Return each host and port of a URL that `database_address` returned."""
    parts = urlsplit(address)
    given = parse_qsl(parts.query, keep_blank_values=True)
    return _hosts(parts.netloc.rpartition("@")[2], given) or [("localhost", _PORT)]


def shown_database(address: str) -> str:
    """Return the hosts and the database of such a URL, for a person: `a:5432,b:5432/name`."""
    return ",".join(starmap(host_and_port, database_hosts(address))) + urlsplit(address).path


def with_host(address: str, place: Host) -> str:
    """Return such a URL for one of its hosts alone, whether or not it accepts writes."""
    parts = urlsplit(address)
    login, at, _ = parts.netloc.rpartition("@")
    kept = [part for part in parts.query.split("&") if part.partition("=")[0] not in ("", *_PLACE)]
    host, port = place
    query = "&".join((*kept, f"host={quote(host, safe='/:')}", f"port={port}"))
    return f"{_POSTGRES}://{login}{at}{parts.path or '/'}?{query}"


def options_of(address: str) -> str:
    """Return the session's `options` from a URL that `database_address` returned."""
    return dict(parse_qsl(urlsplit(address).query)).get("options", "")


def search_path_of(address: str) -> str:
    """Return the `search_path` in those options, or nothing."""
    match = _OPTIONS_OF_A_SESSION.fullmatch(options_of(address))
    return re.sub(r"\\(.)", r"\1", match["path"]) if match else ""


def _hosts(named: str, given: Given) -> Sequence[Host]:
    """Return the hosts before the path, or those among the parameters, each with its port."""
    listed = [value for name, value in given if name == "host"]
    ports = [port for name, value in given if name == "port" for port in value.split(",")]
    if "," in named and (listed or ports):
        raise ValueError(f"a database URL names hosts and ports in one place: {_EXAMPLE}")
    hosts = [host for value in listed for host in value.split(",")] or named.split(",")
    if not ports:
        return [_split_host(host, hosts) for host in hosts if host or len(hosts) > 1]
    if len(ports) not in (1, len(hosts)):
        raise ValueError(
            f"the database URL names {len(hosts)} hosts ({', '.join(hosts)}) and {len(ports)}"
            " ports; expected: one port for each host, or one for all"
        )
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [
        (_split_host(host, hosts)[0], _checked_port(port, host))
        for host, port in zip(hosts, ports, strict=True)
    ]


def _split_host(text: str, hosts: Sequence[str]) -> Host:
    """Take a host and its port apart. Raises ValueError for what none of several can be."""
    given = _HOST.fullmatch(text)
    # One host may be the folder of a socket; an IPv6 address has no brackets among the parameters.
    if given is None and (len(hosts) == 1 or _is_ip6(text)):
        return text, _PORT
    if given is None:
        where = f"host {hosts.index(text) + 1} of {len(hosts)} in the database URL"
        problem = "is empty" if not text else "is neither a name nor an address"
        raise ValueError(f"{where} {problem}; expected: {_EXAMPLE}")
    host = given["host"].strip("[]")
    return host, _PORT if given["port"] is None else _checked_port(given["port"], host)


def _is_ip6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _checked_port(port: str, host: str) -> int:
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _PORT_MAX):
        raise ValueError(
            f"the port of {host} in the database URL is no number from 1 to {_PORT_MAX};"
            f" expected: {_EXAMPLE}"
        )
    return int(port)


def _check_parameters(given: Given) -> None:
    """Raise ValueError for what would be overwritten silently, fail later, or show in errors."""
    names = [name for name, _ in given]
    if taken := [name for name in names if name in _SET_BY_US]:
        raise ValueError(f"{taken[0]} in the database URL: Slipway sets it itself; leave it out")
    if "password" in names:
        raise ValueError(
            "the password in a database URL belongs before the host:"
            " postgresql://user:password@host:5432/database"
        )
    if strange := [name for name in names if name not in _OF_LIBPQ]:
        nearest = get_close_matches(strange[0].lower(), _OF_LIBPQ, n=1, cutoff=0)[0]
        raise ValueError(
            "the database URL has a parameter that libpq does not know; the nearest one is"
            f" {nearest}"
        )
    values = dict(given)
    mode, session = values.get("sslmode"), values.get(_SESSION)
    if mode is not None and mode not in _SSL_MODES:
        raise ValueError(
            f"sslmode in the database URL is unknown; expected: {', '.join(_SSL_MODES)}"
            " (verify-full is the one that knows your server)"
        )
    if session is not None and session not in _SESSIONS:
        raise ValueError(
            f"{_SESSION} in the database URL must lead to a server that takes writes; expected:"
            f" {_WRITABLE} (the default of several hosts), primary, or any, where each host leads"
            " to the primary, as poolers do"
        )
    options = values.get("options", "")
    if options and _OPTIONS_OF_A_SESSION.fullmatch(options) is None:
        raise ValueError(
            "options in the database URL may set search_path and nothing else; percent-encoded:"
            " ?options=-c%20search_path%3Dslipway"
        )

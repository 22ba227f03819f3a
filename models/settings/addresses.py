"""The database's address: checked, and in the one form that the driver needs.

An address may contain a password, so no message here repeats one, or a part of one.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from models.settings.urls import split_url, stripped

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
    r"\s*(?:-c\s*|--)search_path=(?P<path>(?:[^\s\\]|\\.)+)\s*", re.IGNORECASE
)


def database_address(url: str) -> str:
    """Return a PostgreSQL URL for SQLAlchemy on psycopg 3: `postgresql+psycopg://…`.

    `postgres://` and `postgresql://`, as providers give them, are accepted too. Several hosts, as
    libpq accepts them (`a:5432,b:5432`), become parameters; the one that accepts writes is used.
    Raises ValueError for another scheme, an ambiguous URL, and a parameter that Slipway sets
    itself; the error does not repeat the URL.
    """
    scheme, _, rest = stripped(url).partition("://")
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
    parts = split_url(f"{_POSTGRES}://{rest}")
    _check_parameters(parts.query)
    return f"{_POSTGRES}://{rest}"


def options_of(address: str) -> str:
    """Return the session's `options` from a URL that `database_address` returned."""
    return dict(parse_qsl(urlsplit(address).query)).get("options", "")


def search_path_of(address: str) -> str:
    """Return the `search_path` in those options, or nothing."""
    match = _OPTIONS_OF_A_SESSION.fullmatch(options_of(address))
    return re.sub(r"\\(.)", r"\1", match["path"]) if match else ""


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

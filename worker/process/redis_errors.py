"""Says why Redis could not be used: where, what was met, what was expected.

No sentence holds a part of a password: neither redis-py's texts nor the server's have any.
"""

from collections.abc import Sequence
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from models.settings.redis_address import redis_host, sentinel_address
from models.settings.redis_tls import tls_failure

_TEXT_MAX: Final = 500
_LOGIN: Final = "user and password of that server, as in redis://user:password@host:6379/0"
# A part of the text, and what was expected instead. The first that fits counts.
_EXPECTED: Final[Sequence[tuple[Sequence[str], str]]] = (
    (("NOAUTH", "WRONGPASS", "invalid username-password", "HELLO must be called"), _LOGIN),
    (
        ("Name or service not known", "name resolution", "No address associated", "nodename"),
        "a host name that the DNS of this machine knows",
    ),
    (
        ("max number of clients",),
        "a free connection: raise its maxclients, or find who keeps so many (CLIENT LIST)",
    ),
    (
        ("DB index is out of range", "invalid DB index"),
        "the number of a database that the server has (its setting `databases`)",
    ),
    (
        ("protected mode",),
        "a server that takes connections from here: give it a password, or turn protected-mode off",
    ),
    (("is loading",), "a server that has read its data; wait for it"),
    (("Connection refused",), "a running server that listens there"),
    (
        (
            "closed by server",
            "reset by peer",
            "Protocol error",
            "Protocol Error",
            "Broken pipe",
            "Invalid Response",
        ),
        (
            "Redis or Valkey, with redis:// on a plain port and rediss:// on a TLS port; another"
            " service listens there, or a server that stops"
        ),
    ),
)
_SILENT: Final = (
    "an answer within seconds; a firewall drops packets, the server hangs, or another service"
    " listens there (rediss:// on a plain port, too)"
)


def redis_problem(error: RedisError, url: str) -> str:
    """Describe *error*, met with the server at *url*, in one line."""
    host = redis_host(url)
    if isinstance(error, MasterNotFoundError):  # redis-py's own message fills a page
        address = sentinel_address(url)
        return "no sentinel names a primary that is up" if address is None else address.not_found
    if (failure := tls_failure(error)) is not None:
        return failure if host in failure else f"{host}: {failure}"
    met = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:_TEXT_MAX]
    expected = _expected(error, met)
    place = "" if host in met else f"{host}: "
    return f"{place}{met}; expected: {expected}" if expected else f"{place}{met}"


def _expected(error: RedisError, met: str) -> str | None:
    for words, expected in _EXPECTED:
        if any(word in met for word in words):
            return expected
    match error:
        case AuthenticationError():
            return _LOGIN
        case NoPermissionError():
            return "a user with the rights of a worker (the ACL rules in deploy/)"
        case RedisTimeoutError():
            return _SILENT
        case _:
            return None

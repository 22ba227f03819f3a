"""Says why no connection was opened: the reason of each host, and what has to be changed for it.

No sentence holds a password: libpq shows none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Final

import psycopg

from models.settings.addresses import database_hosts
from models.settings.listening import host_and_port

# psycopg tries each host, and each address of a host, by itself, and lists what became of it.
_ATTEMPT: Final = re.compile(
    r"^- host: '?(?P<host>.*?)'?, port: '?(?P<port>.*?)'?, hostaddr: '?.*?'?: (?P<reason>.*)$",
    re.MULTILINE,
)
_LEAD: Final = re.compile(
    r'^(connection (failed|is bad): )?(connection to server (at|on socket) "(?P<host>.*?)"'
    r"(, port (?P<port>[0-9]+))? failed: )?"
)
# A part of libpq's reason or the server's, and what to change. The first that fits counts.
_REMEDIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("failed to resolve host", "could not translate host name"),
        "correct the host's name in the database URL, or the DNS of this machine",
    ),
    **dict.fromkeys(
        ("too many connections", "remaining connection slots", "too many clients"),
        "no connection is left: raise max_connections, or with ALTER ROLE or ALTER DATABASE the"
        " CONNECTION LIMIT, to what deploy/README.md counts, or put PgBouncer in front",
    ),
    **dict.fromkeys(
        (
            *("invalid response", "expected authentication", "reset by peer"),
            "closed the connection unexpectedly",
        ),
        "another service listens there, or a balancer without a server; the database URL must lead"
        " to PostgreSQL (5432) or its pooler (6432)",
    ),
    **dict.fromkeys(
        ("timeout expired", "timed out"),
        "let this machine through the firewall, or correct host and port: what listens there says"
        " nothing, as another service may",
    ),
    "certificate verify failed": (
        "the server's certificate must be valid now and of an authority in the file of sslrootcert"
    ),
    "does not match host name": (
        "the database URL must name the server as its certificate does, or the server needs a"
        " certificate for this host"
    ),
    "root certificate file": (
        "sslrootcert in the database URL must name a file with the authority that issued the"
        " server's certificate (for a public one /etc/ssl/certs/ca-certificates.crt)"
    ),
    "server does not support SSL": (
        "set ssl = on in the server's postgresql.conf, with its certificate; without TLS anyone on"
        " the network path can read and change the traffic"
    ),
    "no encryption": "the server wants TLS: append ?sslmode=verify-full&sslrootcert=FILE",
    "no pg_hba.conf entry": (
        "the server's pg_hba.conf needs a line for this user, host and database"
    ),
    "valid client certificate": (
        "the server wants a client certificate: name it and its key by sslcert and sslkey"
    ),
    "certificate file": (
        "sslcert and sslkey in the database URL must name a certificate and its key"
    ),
    "private key file": (
        "sslkey in the database URL must name the certificate's key, which no other user may read"
    ),
    "is read-only": (
        "of the hosts in the database URL one must be the primary: promote a standby, or add the"
        " host that was promoted; default_transaction_read_only refuses writes, too"
    ),
    "hot standby mode": (
        "of the hosts in the database URL one must be the primary: promote a standby, or add the"
        " host that was promoted"
    ),
}


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """Why one host could not be used."""

    host: str
    port: str
    reason: str

    def describe(self) -> str:
        """Describe it in one line."""
        return f"{self.host}:{self.port}: {self.reason}" if self.host else self.reason


def connection_failures(error: BaseException) -> Sequence[ConnectionFailure]:
    """Return the failure of each host, in the order in which they were tried."""
    text = str(error).strip()
    attempts = [
        _failure(attempt["reason"], attempt["host"], attempt["port"])
        for attempt in _ATTEMPT.finditer(text)
    ]
    first = text.partition("\n")[0] or type(error).__name__
    return list(dict.fromkeys(attempts)) or [_failure(first, "", "")]


def describe_failures(error: BaseException, url: str) -> str:
    """Return in one line why no host of *url* could be used."""
    failures = connection_failures(error)
    met = "; ".join(failure.describe() for failure in failures)
    if any(failure.host for failure in failures):
        return met
    return f"{','.join(starmap(host_and_port, database_hosts(url)))}: {met}"


def remedy_for(error: BaseException) -> str | None:
    """Return what to change if the address, the certificates or the roles of the hosts are wrong.

    None: a server is down or cannot be reached.
    """
    if not isinstance(error, psycopg.OperationalError):
        return None
    text = str(error)
    return next((remedy for part, remedy in _REMEDIES.items() if part in text), None)


def _failure(text: str, host: str, port: str) -> ConnectionFailure:
    lead = _LEAD.match(text)
    assert lead is not None, "all of it may be missing"
    reason = text[lead.end() :] or text
    return ConnectionFailure(host or lead["host"] or "", port or lead["port"] or "", reason)

"""Says in words how the lines to the servers are protected: encrypted, verified, or neither."""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import Connection

from models.settings.addresses import redis_tls
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong

_ADDRESS: Final = "SLIPWAY_DATABASE_URL"
_ENCRYPTED: Final = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_VERIFIED: Final = "verify-full"
_WAY: Final = "whoever is on the way can read and change what passes"


def examine_redis_line(url: str, *, part: str, variable: str) -> Finding:
    """Say what the scheme and the options of *url* mean."""
    line, tls = f"{part} line", redis_tls(url)
    if tls is None:
        if _is_here(urlsplit(url).hostname):
            return ok(line, "not encrypted; it does not leave this machine")
        return doubtful(
            line,
            f"not encrypted: {_WAY}, the password too",
            mend=f"have the server take TLS and write rediss:// in {variable}, unless the network"
            " is yours alone",
        )
    if not tls.verified:
        return wrong(
            line,
            "encrypted, but the server is not verified (ssl_cert_reqs=none): whoever answers is"
            " sent the password",
            mend=f"remove ssl_cert_reqs=none from {variable}; an authority of your own:"
            " ssl_ca_certs=FILE",
        )
    if not tls.hostname_checked:
        return doubtful(
            line,
            "encrypted, and the certificate is verified, but not for which host it was made"
            " (ssl_check_hostname=false)",
            mend=f"have a certificate made out for the host in {variable}, then remove the option",
        )
    return ok(line, "encrypted, and the server is verified")


def examine_database_line(connection: Connection) -> Finding:
    """Say how the connection that is open is protected."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # SQLAlchemy knows no driver's types
    encrypted, version = connection.exec_driver_sql(_ENCRYPTED).one()
    options = {one.keyword: one.val or b"" for one in driver.pgconn.info}
    return judge_database_line(
        driver.info.hostaddr or driver.info.host,
        version=version if encrypted else None,
        sslmode=options[b"sslmode"].decode(),
    )


def judge_database_line(host: str, *, version: str | None, sslmode: str) -> Finding:
    """Judge a line to *host*; *version* of TLS, none: it is not encrypted."""
    line = "PostgreSQL line"
    if version is None:
        if _is_here(host):
            return ok(line, "not encrypted; it does not leave this machine")
        return doubtful(
            line,
            f"not encrypted (sslmode={sslmode}): {_WAY}",
            mend=f"switch ssl on in postgresql.conf and append ?sslmode={_VERIFIED} to {_ADDRESS},"
            " unless the network is yours alone",
        )
    if sslmode != _VERIFIED:
        return doubtful(
            line,
            f"encrypted ({version}), but sslmode={sslmode} does not verify that it is your server",
            mend=f"append ?sslmode={_VERIFIED}&sslrootcert=FILE to {_ADDRESS} (sslrootcert=system:"
            " a public authority)",
        )
    return ok(line, f"encrypted ({version}), and the server is verified")


def _is_here(host: str | None) -> bool:
    if not host or host.startswith("/") or host == "localhost":  # a socket in the file system
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

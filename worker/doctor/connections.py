"""Checks how the connections to the servers are protected: encrypted, verified, or neither."""

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import Connection

from models.settings.database_files import database_files_expiring
from models.settings.redis_address import cluster_address, redis_tls, sentinel_address
from models.settings.redis_files import redis_files_expiring
from worker.doctor.access import SOON as EXPIRES_SOON
from worker.doctor.finding import Finding, doubtful, ok

_ADDRESS: Final = "SLIPWAY_DATABASE_URL"
_ENCRYPTED: Final = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_VERIFIED: Final = "verify-full"
_WAY: Final = "anyone on the network path can read and change the traffic"


def check_redis_protection(url: str, *, part: str, variable: str, now: datetime) -> Finding:
    """Report what the scheme and the files of *url* mean at *now*."""
    name, tls = f"{part} connection", redis_tls(url)
    if tls is None:
        if _is_here(url):
            return ok(name, "not encrypted; it does not leave this machine")
        return doubtful(
            name,
            f"not encrypted: {_WAY}, the password too",
            remedy=f"enable TLS on the server and use rediss:// in {variable}, unless the network"
            " is private",
        )
    if expiring := [*redis_files_expiring(url, now=now, within=EXPIRES_SOON)]:
        return doubtful(
            name,
            f"encrypted, and the server is verified; but {'; '.join(expiring)}",
            remedy="replace the file: every new connection reads it, and no restart is needed",
        )
    return ok(name, "encrypted, and the server is verified")


def check_database_files(address: str, *, now: datetime) -> Iterator[Finding]:
    """Name the certificates of *address* that expire soon after *now*."""
    if expiring := [*database_files_expiring(address, now=now, within=EXPIRES_SOON)]:
        yield doubtful(
            "PostgreSQL connection",
            "; ".join(expiring),
            remedy="replace the file: every new connection reads it, and no restart is needed",
        )


def check_database_session(connection: Connection) -> Finding:
    """Report how the open connection is protected."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # SQLAlchemy knows no driver's types
    encrypted, version = connection.exec_driver_sql(_ENCRYPTED).one()
    options = {option.keyword: option.val or b"" for option in driver.pgconn.info}
    return check_database_protection(
        driver.info.hostaddr or driver.info.host,
        version=version if encrypted else None,
        sslmode=options[b"sslmode"].decode(),
    )


def check_database_protection(host: str, *, version: str | None, sslmode: str) -> Finding:
    """Check a connection to *host*; *version* is that of TLS, or None without encryption."""
    name = "PostgreSQL connection"
    if version is None:
        if _is_local(host):
            return ok(name, "not encrypted; it does not leave this machine")
        return doubtful(
            name,
            f"not encrypted (sslmode={sslmode}): {_WAY}",
            remedy=f"enable ssl in postgresql.conf and append ?sslmode={_VERIFIED} to {_ADDRESS},"
            " unless the network is private",
        )
    if sslmode != _VERIFIED:
        return doubtful(
            name,
            f"encrypted ({version}), but sslmode={sslmode} does not verify that it is your server",
            remedy=f"append ?sslmode={_VERIFIED}&sslrootcert=FILE to {_ADDRESS} (for a public"
            " certificate authority: /etc/ssl/certs/ca-certificates.crt)",
        )
    return ok(name, f"encrypted ({version}), and the server is verified")


def _is_here(url: str) -> bool:
    if (sentinels := sentinel_address(url)) is not None:
        hosts: list[str | None] = [host for host, _ in sentinels.sentinels]
    elif (cluster := cluster_address(url)) is not None:
        hosts = [host for host, _ in cluster.nodes]
    else:
        hosts = [urlsplit(url).hostname]
    return all(map(_is_local, hosts))


def _is_local(host: str | None) -> bool:
    if not host or host.startswith("/") or host == "localhost":  # a socket in the file system
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

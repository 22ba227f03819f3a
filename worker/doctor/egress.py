"""Checks the way to partners that the settings describe: own authorities, and the egress proxy."""

import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from models.settings.egress import EgressProxy
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from worker.delivery.http.address_policy import may_connect
from worker.delivery.http.egress import PROXY_CHECKS, Egress
from worker.delivery.http.trust import read_authorities
from worker.doctor.finding import Finding, doubtful, ok, wrong

AUTHORITIES: Final = "partners' authorities"
PROXY: Final = "egress proxy"
_CONNECT_SECONDS: Final = 3.0


def check_egress(settings: Settings, *, now: datetime) -> Iterator[Finding]:
    """Read the files that the settings name, and connect to the proxy; nothing is sent to it."""
    if settings.partner_ca_file is not None:
        yield _check_authorities(settings.partner_ca_file, now)
    try:
        egress = Egress.of(settings)
    except InvalidSettings as error:
        yield wrong(PROXY, "; ".join(error.problems), remedy="write one line: the proxy's address")
        return
    if egress.proxy is not None:
        yield _check_proxy(egress, egress.proxy)


def _check_authorities(path: Path, now: datetime) -> Finding:
    try:
        certificates = read_authorities(path)
    except InvalidSettings as error:
        return wrong(
            AUTHORITIES,
            "; ".join(error.problems),
            remedy="put the authorities' certificates there (PEM), readable for the deliver"
            " processes and the console",
        )
    ended = [each for each in certificates if each.not_valid_after_utc <= now]
    if ended:
        return doubtful(
            AUTHORITIES,
            f"{len(ended)} of {len(certificates)} in {path} have expired:"
            f" {ended[0].subject.rfc4514_string()}",
            remedy="replace it, or partners with certificates of that authority are not reached",
        )
    return ok(AUTHORITIES, f"{len(certificates)} in {path}, besides the system's")


def _check_proxy(egress: Egress, proxy: EgressProxy) -> Finding:
    try:
        entries = socket.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return wrong(
            PROXY,
            f"{proxy.host} has no address",
            remedy="correct SLIPWAY_PARTNER_PROXY, or the DNS of this machine",
        )
    addresses = sorted({str(entry[4][0]) for entry in entries})
    allowed = [each for each in addresses if may_connect(each, allowed=egress.networks)]
    if not allowed:
        return wrong(
            PROXY,
            f"{proxy.host} is {addresses[0]}, a private address outside"
            " SLIPWAY_PARTNER_PROXY_NETWORKS: no partner is called",
            remedy="if that is correct, name its network in SLIPWAY_PARTNER_PROXY_NETWORKS",
        )
    try:
        socket.create_connection((allowed[0], proxy.port), timeout=_CONNECT_SECONDS).close()
    except OSError as refusal:
        return wrong(
            PROXY,
            f"{proxy.address} accepts no connection: {refusal.strerror or refusal}",
            remedy="start it, let this machine through to it, or correct SLIPWAY_PARTNER_PROXY",
        )
    return ok(PROXY, f"{proxy.address} accepts connections; {PROXY_CHECKS}")

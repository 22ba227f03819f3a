"""Which calls go through the installation's egress proxy, and which of them are refused here.

The proxy resolves the names in partners' URLs, so it has to check those addresses. What is checked
here: the address of the proxy itself, and an address that stands in a URL, however it is written.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import urlsplit

from models.settings.egress import DirectHosts, EgressProxy, parse_proxy
from models.settings.errors import InvalidSettings, variable_name
from models.settings.line_file import read_line
from models.settings.settings import Settings
from worker.delivery.http.address_policy import Network, may_connect

PROXY_CHECKS: Final = "the proxy resolves the name and has to refuse private addresses"
_FILE: Final = variable_name("partner_proxy_file")
# libcurl decodes some spellings that Python does not. A host of these characters alone is the same
# for both, so the host that is checked is the host that the proxy is asked for.
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


_NONE: Final = DirectHosts()


class CallRefused(ValueError):
    """The call is not made. The text is for people, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Egress:
    """The way to partners: directly, or through a proxy."""

    proxy: EgressProxy | None = None
    direct: DirectHosts = _NONE
    networks: Sequence[Network] = ()  # private ones that the proxy may be in

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take it from the settings. Raises InvalidSettings if the proxy's file cannot be used."""
        return cls(
            proxy=_proxy(settings),
            direct=settings.partner_no_proxy,
            networks=settings.partner_proxy_networks,
        )

    def proxy_for(self, url: str) -> EgressProxy | None:
        """Return the proxy through which *url* is called; None: it is called directly."""
        if self.proxy is None or self.direct.includes(_host(url)):
            return None
        return self.proxy


DIRECT: Final = Egress()


def check_proxied(url: str, *, allowed: Sequence[Network]) -> None:
    """Raise CallRefused if the host in *url* is a private address, or one that could hide it.

    *allowed*: private networks that partners may be in (SLIPWAY_PARTNER_NETWORKS).
    """
    address = _literal_address(_host(url), url)
    if address is not None and not may_connect(address, allowed=allowed):
        raise CallRefused(
            f"the address {address} is not public; if the partner may live there, name its network"
            " in SLIPWAY_PARTNER_NETWORKS"
        )


def _literal_address(host: str, url: str) -> str | None:
    """Return the address that *host* stands for without being resolved; None if it is a name."""
    if ":" in host:
        return host.partition("%")[0]  # the brackets are checked by urlsplit and libcurl
    user_info, _, _ = urlsplit(url).netloc.rpartition("@")
    name = host.rstrip(".")
    if not _NAME.fullmatch(name) or "@" in user_info:
        raise CallRefused(
            "the host in the URL has characters that are not sent to a proxy; write it in ASCII"
            " (xn--…), without quoted characters"
        )
    *_, last = labels = name.lower().split(".")
    if last == "localhost":  # to the proxy: the proxy's own machine
        return "127.0.0.1"
    if not _NUMBER.fullmatch(last):
        return None
    try:
        return str(ip_address(socket.inet_aton(".".join(labels))))  # also 127.1 and 0x7f.1
    except OSError:
        raise CallRefused("the host in the URL is a number that is no address") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _proxy(settings: Settings) -> EgressProxy | None:
    if settings.partner_proxy is not None:
        return parse_proxy(settings.partner_proxy.get_secret_value())
    path = settings.partner_proxy_file
    if path is None:
        return None
    line = read_line(path, setting=_FILE, expected="one line, the proxy's address")
    try:
        return parse_proxy(line)
    except ValueError as error:  # its text holds nothing of the file but the host
        problem = f"{_FILE}: the address in {path} {error}"
    raise InvalidSettings([problem])  # outside the except: the caught error holds the values

"""What is allowed in an operator's terms and its access, but probably not meant."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from models.access.values import Access
from models.operators.delivery_terms import delivery_warnings
from models.operators.validation import OperatorTerms, terms_warnings, url_warnings
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from worker.delivery.http.address_policy import may_connect
from worker.delivery.http.egress import PROXY_CHECKS, CallRefused, Egress, check_proxied


@dataclass(frozen=True, slots=True)
class _Way:
    """An address that calls go to: what people call it, and what calls carry there."""

    url: str
    name: str
    sent: str


def warnings_about(terms: OperatorTerms, settings: Settings) -> list[str]:
    """Return what is allowed in *terms*, but probably not meant.

    Resolves the URL's host, unless a proxy does.
    """
    way = _Way(terms.url, "URL", "the notices")
    return [*settings_warnings(terms, settings), *_warnings(way, settings)]


def settings_warnings(terms: OperatorTerms, settings: Settings) -> list[str]:
    """Return what in *terms* does not fit the installation's settings, whichever changed last."""
    of_delivery = delivery_warnings(
        terms,
        retention=settings.retention,
        discard_interval=settings.discard_interval,
        retry_limit=settings.retry_limit,
    )
    return [*of_delivery, *terms_warnings(terms, parking_window=settings.parking_window)]


def access_warnings(access: Access, settings: Settings) -> list[str]:
    """Return what is allowed in *access*, but probably not meant.

    Resolves the host of the token endpoint, unless a proxy does.
    """
    if access.oauth is None:
        return []
    way = _Way(access.oauth.token_url, "token URL", "the client's secret and the tokens")
    return _warnings(way, settings)


def _warnings(way: _Way, settings: Settings) -> list[str]:
    try:
        proxy = Egress.of(settings).proxy_for(way.url)
    except InvalidSettings as error:
        return [*_direct_warnings(way, settings), *error.problems]
    if proxy is None:
        return _direct_warnings(way, settings)
    warnings = url_warnings(way.url, name=way.name, sent=way.sent, refused=[], public=True)
    try:
        check_proxied(way.url, allowed=settings.partner_networks)
    except CallRefused as refusal:
        return [*warnings, f"nothing will be sent to {way.url}: {refusal}"]
    return [*warnings, f"calls go through the proxy {proxy.address}: {PROXY_CHECKS}, not we"]


def _direct_warnings(way: _Way, settings: Settings) -> list[str]:
    addresses = addresses_of(way.url)
    warnings = url_warnings(
        way.url,
        name=way.name,
        sent=way.sent,
        refused=[
            address
            for address in addresses
            if not may_connect(address, allowed=settings.partner_networks)
        ],
        public=any(may_connect(address, allowed=()) for address in addresses),
    )
    if not addresses:
        warnings.append(f"the host of {way.url} has no address at the moment")
    return warnings


def addresses_of(url: str) -> list[str]:
    """Return the addresses of the URL's host at the moment."""
    host = urlsplit(url).hostname
    assert host is not None, "checked before"
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label longer than a name may have
        return []
    return sorted({str(entry[4][0]) for entry in entries})

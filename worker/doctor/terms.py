"""What is allowed in an operator's terms, but probably not meant."""

import socket
from urllib.parse import urlsplit

from models.operators.delivery_terms import delivery_warnings
from models.operators.validation import OperatorTerms, terms_warnings
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from worker.delivery.http.address_policy import may_connect
from worker.delivery.http.egress import PROXY_CHECKS, CallRefused, Egress, check_proxied


def warnings_about(terms: OperatorTerms, settings: Settings) -> list[str]:
    """Return what is allowed in *terms*, but probably not meant.

    Resolves the URL's host, unless a proxy does.
    """
    of_delivery = delivery_warnings(
        terms,
        retention=settings.retention,
        discard_interval=settings.discard_interval,
        retry_limit=settings.retry_limit,
    )
    return [*of_delivery, *_warnings_about_the_way(terms, settings)]


def _warnings_about_the_way(terms: OperatorTerms, settings: Settings) -> list[str]:
    try:
        proxy = Egress.of(settings).proxy_for(terms.url)
    except InvalidSettings as error:
        return [*_warnings(terms, settings), *error.problems]
    if proxy is None:
        return _warnings(terms, settings)
    warnings = terms_warnings(
        terms, parking_window=settings.parking_window, refused=[], public=True
    )
    try:
        check_proxied(terms.url, allowed=settings.partner_networks)
    except CallRefused as refusal:
        return [*warnings, f"nothing will be sent to {terms.url}: {refusal}"]
    return [*warnings, f"calls go through the proxy {proxy.address}: {PROXY_CHECKS}, not we"]


def _warnings(terms: OperatorTerms, settings: Settings) -> list[str]:
    addresses = _addresses(terms.url)
    warnings = terms_warnings(
        terms,
        parking_window=settings.parking_window,
        refused=[
            address
            for address in addresses
            if not may_connect(address, allowed=settings.partner_networks)
        ],
        public=any(may_connect(address, allowed=()) for address in addresses),
    )
    if not addresses:
        warnings.append(f"the host of {terms.url} has no address at the moment")
    return warnings


def _addresses(url: str) -> list[str]:
    host = urlsplit(url).hostname
    assert host is not None, "checked before"
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label longer than a name may have
        return []
    return sorted({str(entry[4][0]) for entry in entries})

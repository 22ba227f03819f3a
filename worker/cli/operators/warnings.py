"""What is allowed for an operator, but probably not meant: with its host looked up."""

import socket
from urllib.parse import urlsplit

from models.operators import OperatorTerms, terms_warnings
from models.settings.settings import Settings
from worker.delivery.http.address_policy import may_connect


def doubts(terms: OperatorTerms, settings: Settings) -> list[str]:
    """Say what is doubtful about *terms*, which have been checked. Resolves the URL's host."""
    addresses = _addresses(terms.url)
    found = terms_warnings(
        terms,
        parking_window=settings.parking_window,
        refused=[
            one for one in addresses if not may_connect(one, allowed=settings.partner_networks)
        ],
        public=any(may_connect(one, allowed=()) for one in addresses),
    )
    if not addresses:
        found.append(f"the host of {terms.url} has no address at the moment")
    return found


def _addresses(url: str) -> list[str]:
    host = urlsplit(url).hostname
    assert host is not None, "checked before"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label longer than a name may have
        return []
    return sorted({str(entry[4][0]) for entry in found})

"""What the settings and the provider itself say of it: files, metadata."""

import json
from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.discovery import get_well_known_url

from models.settings.errors import variable_name
from models.settings.line_file import read_line
from models.settings.settings import Settings
from models.settings.urls import shown_host
from worker.delivery.http.trust import read_authorities
from worker.identity_provider.https_client import HttpsClient, ProviderUnavailable

_ISSUER: Final = variable_name("console_oidc_issuer")
_SECRET_FILE: Final = variable_name("console_oidc_client_secret_file")
_SHOWN_MAX: Final = 200


class NotTheProvider(ProviderUnavailable):
    """What responds is not the provider of the settings."""


def open_client(settings: Settings) -> HttpsClient:
    """Return a client for the provider. Raises InvalidSettings if the file of its CA is no use."""
    authorities = settings.console_oidc_ca_file
    if authorities is not None:
        read_authorities(authorities, setting=variable_name("console_oidc_ca_file"))
    return HttpsClient(settings.console_oidc_networks, authorities)


def client_secret(settings: Settings) -> str:
    """Return our secret there. Raises InvalidSettings if its file cannot be used."""
    if settings.console_oidc_client_secret is not None:
        return settings.console_oidc_client_secret.get_secret_value()
    path = settings.console_oidc_client_secret_file
    assert path is not None, "checked with the settings"
    expected = "one line, the client's secret at the provider"
    return read_line(path, setting=_SECRET_FILE, expected=expected)


def discover(https: HttpsClient, issuer: str) -> Mapping[str, Any]:
    """Fetch what the provider says of itself. Raises ProviderUnavailable."""
    metadata = json_object(https.get(get_well_known_url(issuer, external=True)), issuer)
    named = metadata.get("issuer")
    if named != issuer:
        shown = repr(named)[:_SHOWN_MAX] if isinstance(named, str) else "by no name"
        raise NotTheProvider(
            f"the identity provider at {shown_host(issuer)} calls itself {shown}, and {_ISSUER}"
            " must say the same, character by character"
        )
    return metadata


def json_object(body: bytes, address: str) -> dict[str, Any]:
    """Return what *address* sent. Raises NotTheProvider if it is no JSON object."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise NotTheProvider(
            f"the identity provider at {shown_host(address)} sent something else than a JSON object"
        )
    return content

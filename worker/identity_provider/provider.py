"""What the settings and the provider itself say of it: files, metadata."""

import json
from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.discovery import get_well_known_url

from models.settings.errors import InvalidSettings, variable_name
from models.settings.settings import Settings
from models.settings.urls import shown_host
from worker.delivery.http.trust import read_authorities
from worker.identity_provider.https_client import HttpsClient, ProviderUnavailable

_ISSUER: Final = variable_name("console_oidc_issuer")
_SECRET_FILE: Final = variable_name("console_oidc_client_secret_file")
_SECRET_BYTES_MAX: Final = 10_000
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
    """Return our secret there. Raises InvalidSettings if its file cannot be read."""
    if settings.console_oidc_client_secret is not None:
        return settings.console_oidc_client_secret.get_secret_value()
    path = settings.console_oidc_client_secret_file
    assert path is not None, "checked with the settings"
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(_SECRET_BYTES_MAX).strip()
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        if secret.isprintable() and secret:
            return secret
        problem = "holds more than one line" if secret else "is empty"
    expected = "expected: one line, the client's secret at the provider"
    raise InvalidSettings([f"{_SECRET_FILE}: {path} {problem}; {expected}"])


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

"""The document in which an operator's access is stored: JSON, encrypted as a whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from models.access.values import Access, Basic, ClientCertificate, ClientCredentials, Header
from models.platform.encryption import Vault


def seal_access(access: Access, vault: Vault) -> str:
    """Encrypt *access* for the database."""
    return vault.encrypt(json.dumps(asdict(access), separators=(",", ":")))


def open_access(sealed: str, vault: Vault) -> Access:
    """Decrypt what `seal_access` returned. Raises DecryptionFailed if no key does."""
    document: Mapping[str, Any] = json.loads(vault.decrypt(sealed))
    basic, oauth = document.get("basic"), document.get("oauth")
    certificate = document.get("certificate")
    return Access(
        headers=tuple(Header(**header) for header in document.get("headers", ())),
        basic=None if basic is None else Basic(**basic),
        bearer=document.get("bearer"),
        oauth=None if oauth is None else ClientCredentials(**oauth),
        certificate=None if certificate is None else ClientCertificate(**certificate),
        authorities=document.get("authorities"),
    )

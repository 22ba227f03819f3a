"""The contract of what goes out, as documents by their file names."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from models.outgoing.fields import Schema
from models.outgoing.pam_schemas import SIGNED_TEST, pam_schemas
from models.outgoing.wallet_schemas import wallet_response_schema, wallet_schemas
from models.outgoing.webhooks import webhooks_document

SCHEMA_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
NOTICES_FILE: Final = "notices.schema.json"
WALLET_FILE: Final = "wallet-calls.schema.json"
RESPONSE_FILE: Final = "wallet-response.schema.json"
WEBHOOKS_FILE: Final = "webhooks.openapi.json"


@cache
def outgoing_documents() -> Mapping[str, dict[str, Any]]:
    """Return each document by the name of its file."""
    return {
        NOTICES_FILE: _any_of(
            pam_schemas(),
            title="What a PAM platform is sent",
            description="One of these bodies. The test is a `ticket_discard`, too; validate by"
            f" `#/$defs/{SIGNED_TEST}` to recognise it.",
        ),
        WALLET_FILE: _any_of(
            wallet_schemas(),
            title="What a seamless wallet is sent",
            description="One of these bodies; the path of the request says which.",
        ),
        RESPONSE_FILE: {"$schema": SCHEMA_DRAFT} | wallet_response_schema(),
        WEBHOOKS_FILE: webhooks_document(),
    }


def _any_of(schemas: Mapping[str, Schema], *, title: str, description: str) -> Schema:
    return {
        "$schema": SCHEMA_DRAFT,
        "title": title,
        "description": description,
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in schemas],
        "$defs": dict(schemas),
    }

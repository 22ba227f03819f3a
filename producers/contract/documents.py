"""The files of the contract: names and content."""

import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from models.outgoing.documents import outgoing_documents
from models.settings.settings import Settings
from producers.contract.asyncapi import asyncapi
from producers.gateway.app import build_app
from producers.publisher.schemas import cloud_event_schema, event_schema, lottery_schema

FOLDER = Path(__file__).parent
_SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def documents() -> dict[str, str]:
    """Return every file of the contract, by its name in this folder."""
    contents = {
        "event.schema.json": _SCHEMA | event_schema(),
        "cloud-event.schema.json": _SCHEMA | cloud_event_schema(),
        "lottery.schema.json": _SCHEMA | lottery_schema(),
        "openapi.json": _openapi(),
        **outgoing_documents(),
        "asyncapi.json": asyncapi(),
    }
    return {name: _format_json(document) for name, document in contents.items()}


def write() -> None:
    """Write all files."""
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _openapi() -> dict[str, Any]:
    """Return the gateway's OpenAPI. It never connects, so the addresses need no server."""
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://slipway@127.0.0.1:1/slipway",
            "redis_url": "redis://127.0.0.1:1/0",
            "secret_key": Fernet.generate_key().decode(),
        }
    )
    return build_app(settings).openapi()


def _format_json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

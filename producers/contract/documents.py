"""The contract's files: their names and what has to be in them."""

import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from models.settings.settings import Settings
from producers.gateway.app import build_app
from producers.publisher.schemas import event_schema, lottery_schema

FOLDER = Path(__file__).parent
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def documents() -> dict[str, str]:
    """Every file of the contract, by its name in this folder."""
    made = {
        "event.schema.json": _DIALECT | event_schema(),
        "lottery.schema.json": _DIALECT | lottery_schema(),
        "openapi.json": _openapi(),
    }
    return {name: _written(document) for name, document in made.items()}


def write() -> None:
    """Write all of them anew."""
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _openapi() -> dict[str, Any]:
    """The gateway's description. It is never asked anything else, so nobody need listen there."""
    nowhere = Settings.model_validate(
        {
            "database_url": "postgresql://slipway@127.0.0.1:1/slipway",
            "redis_url": "redis://127.0.0.1:1/0",
            "secret_key": Fernet.generate_key().decode(),
        }
    )
    return build_app(nowhere).openapi()


def _written(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

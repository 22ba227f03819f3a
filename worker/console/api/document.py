"""`openapi.json`: the API's description as a file, checked against the code by a test."""

import json
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet

from models.settings.settings import Settings
from worker.console.api.application import build_api
from worker.console.console import Console
from worker.console.limits import ConsoleLimits
from worker.console.system_watch import SystemWatch

FILE: Final = Path(__file__).parent / "openapi.json"


def document() -> str:
    """Return the content of the file. Nothing connects, so the addresses need no server."""
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://slipway@127.0.0.1:1/slipway",
            "redis_url": "redis://127.0.0.1:1/0",
            "secret_key": Fernet.generate_key().decode(),
        }
    )
    openapi = build_api(Console.prepare(settings, ConsoleLimits()), SystemWatch(settings)).openapi()
    return json.dumps(openapi, ensure_ascii=False, indent=2) + "\n"


def write() -> None:
    """Write the file."""
    FILE.write_text(document(), encoding="utf-8")

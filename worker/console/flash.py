"""A message that the page after a redirect shows once, in an encrypted cookie."""

import json
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request
from fastapi.responses import Response

from models.platform.encryption import DecryptionFailed
from worker.console.addresses import PublicAddress
from worker.console.console import console_of

COOKIE: Final = "flash"
_CHARACTERS_MAX: Final = 1000
_SECONDS: Final = 60

Tone = Literal["good", "warning", "bad", "neutral"]


@dataclass(frozen=True, slots=True)
class Flash:
    """A message, and how it ended."""

    tone: Tone
    text: str


def keep_flash(request: Request, response: Response, flash: Flash) -> None:
    """Have the next page show *flash*."""
    console = console_of(request)
    text = json.dumps({"flash": [flash.tone, flash.text[:_CHARACTERS_MAX]]})
    PublicAddress.of(console.settings, request).set_cookie(
        response, COOKIE, console.vault.encrypt(text), max_age=_SECONDS
    )


def read_flash(request: Request) -> Flash | None:
    """Return the message that waits to be shown; `drop_flash` then removes it."""
    console = console_of(request)
    address = PublicAddress.of(console.settings, request)
    sealed = request.cookies.get(address.cookie_name(COOKIE))
    if sealed is None:
        return None
    try:
        tone, text = json.loads(console.vault.decrypt(sealed))["flash"]
    except (DecryptionFailed, ValueError, KeyError, TypeError):
        return None
    return Flash(tone, text)


def drop_flash(request: Request, response: Response) -> None:
    """Forget the message: it was shown."""
    PublicAddress.of(console_of(request).settings, request).delete_cookie(response, COOKIE)

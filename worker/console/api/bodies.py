"""What no body may hold, whatever its route: what PostgreSQL cannot store."""

import json
from collections.abc import Iterator
from typing import Final

from fastapi import Request

from worker.console.api.errors import invalid_request

_WHOLE_MAX: Final = 2**63 - 1


async def check_body(request: Request) -> None:
    """Refuse a body with a text or number that cannot be stored. Raises ApiRefused (422)."""
    body = await request.body()
    try:
        content = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return  # the framework says what is wrong with it
    for part in _parts(content):
        if isinstance(part, int):
            if abs(part) > _WHOLE_MAX:
                raise invalid_request("a number is too large; nothing was done")
        elif "\0" in part:
            raise invalid_request("a text holds a NUL character; nothing was done")
        elif any("\ud800" <= character <= "\udfff" for character in part):
            raise invalid_request("a text is not Unicode; nothing was done")


def _parts(content: object) -> Iterator[str | int]:
    """Return all texts, names and whole numbers, at any depth."""
    pending = [content]
    while pending:
        match pending.pop():
            case str() | int() as part:
                yield part
            case dict() as members:
                pending += [*members, *members.values()]
            case list() as items:
                pending += items
            case _:
                pass

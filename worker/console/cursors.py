"""Keyset cursors in addresses: opaque to people, validated when they come back.

A cursor holds the sort key of a page's last row, so the next page costs as much as the first.
"""

import base64
import binascii
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from annotated_types import Ge, Le
from pydantic import TypeAdapter, ValidationError

from worker.console.refusals import invalid

_CHARACTERS_MAX: Final = 500

Key = TypeVar("Key")


class NumberKey(NamedTuple):
    """The place of a list that is sorted by a row's number alone."""

    number: Annotated[int, Ge(0), Le(2**63 - 1)]


def write_cursor(key: Any) -> str:  # noqa: ANN401 - whatever the page sorts by
    """Encode the sort key of a page's last row: a tuple of times, numbers and texts."""
    text = TypeAdapter(type(key)).dump_json(key)
    return base64.urlsafe_b64encode(text).decode("ascii").rstrip("=")


def read_cursor(cursor: str | None, shape: type[Key]) -> Key | None:
    """Decode a cursor; *shape* is its type, `tuple[AwareDatetime, int]`. None stays None.

    Raises PageRefused (422) for anything that `write_cursor` did not make. Give numbers the bounds
    of their columns (`Annotated[int, Ge(0), Le(2**63 - 1)]`).
    """
    if not cursor:
        return None
    try:
        padded = cursor[: _CHARACTERS_MAX + 1] + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True)
        # PostgreSQL has no text with a NUL; without its escape this is no JSON.
        key = TypeAdapter(shape).validate_json(text.replace(rb"\u0000", b"\0"))
    except (ValueError, binascii.Error, ValidationError):
        raise invalid(
            "This address is incomplete: the place in the list cannot be read. Go back to the"
            " beginning of the list."
        ) from None
    return key

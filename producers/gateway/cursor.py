"""The place in a list as an opaque word: what `next` gives, `after` takes."""

import base64
import binascii
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError

from models.history.event_log import Place
from producers.gateway.errors import Fault, invalid

_PLACE: Final = TypeAdapter(tuple[datetime, int, int])
_NUMBER_MAX: Final = 2**63 - 1


def written(place: Place) -> str:
    """Write *place* as a word for a URL."""
    text = _PLACE.dump_json((place.at, place.kind, place.number))
    return base64.urlsafe_b64encode(text).decode("ascii").rstrip("=")


def read(word: str) -> Place:
    """Read what `written` wrote. Raises Refused (422) for anything else."""
    try:
        text = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
        at, kind, number = _PLACE.validate_json(text)
    except (ValueError, binascii.Error, ValidationError):
        raise _wrong() from None
    if at.tzinfo is None or max(abs(kind), abs(number)) > _NUMBER_MAX:
        raise _wrong()
    return Place(at, kind, number)


def _wrong() -> Exception:
    fault = Fault(at=["query", "after"], message="take it from `next` of the page before")
    return invalid("the cursor cannot be read", [fault])

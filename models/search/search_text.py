"""Reads the text of a search: what it can be the id of. Touches no database."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple
from unicodedata import normalize
from uuid import UUID

from models.events.stream_contract import ID_CHARACTERS_MAX
from models.notices.key import JOINT, SAFE_JOINT
from models.platform.errors import InvalidError
from models.vocabulary import Action

TEXT_MAX: Final = 255  # characters; the longest that is searched for is a player's id
_QUOTES: Final = "\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_NUMBER_MAX: Final = 2**63 - 1
_GENERATION_MAX: Final = 2**31 - 1
_PARTS: Final = 4  # of an idempotency key
_ENTRY_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class InvalidSearch(InvalidError):
    """The text cannot be searched for."""


class KeyParts(NamedTuple):
    """What an idempotency key says."""

    operator: str
    ticket_id: str
    action: Action
    generation: int


@dataclass(frozen=True, slots=True)
class SearchText:
    """The text without spaces and quotes around it, and what it can be.

    *id*: in the form in which ids are stored; None: it is too long or holds a space.
    """

    text: str
    id: str | None
    number: int | None
    key: KeyParts | None
    transaction: str | None
    entry_id: str | None

    @property
    def forms(self) -> tuple[str, ...]:
        """As it was written, and in Unicode's form NFC: a player's id may be stored in either."""
        return tuple(dict.fromkeys((self.text, normalize("NFC", self.text))))


def read_search_text(given: str) -> SearchText:
    """Return what *given* can be the id of. Raises InvalidSearch if it can be none."""
    if len(given) > 4 * TEXT_MAX:  # before it is touched
        raise _too_long(len(given))
    text = _stripped(given)
    if not text:
        raise InvalidSearch(
            "the search text is empty; give an id of a ticket, player, event, notice or"
            " transaction, a ticket's code, or an idempotency key"
        )
    if len(text) > TEXT_MAX:
        raise _too_long(len(text))
    if _UNSTORABLE.search(text):
        raise InvalidSearch("the search text holds a character that no id can have; remove it")
    normal = normalize("NFC", text)
    is_id = len(normal) <= ID_CHARACTERS_MAX and normal.isprintable() and " " not in normal
    return SearchText(
        text=text,
        id=normal if is_id else None,
        number=_number(text),
        key=_key(normal),
        transaction=_transaction(text),
        entry_id=text if _ENTRY_ID.fullmatch(text) else None,
    )


def _stripped(given: str) -> str:
    """Remove spaces and pairs of quotes around the text, as copying from a log leaves them."""
    text = given.strip()
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def _too_long(length: int) -> InvalidSearch:
    return InvalidSearch(
        f"the search text has {length:,} characters; at most {TEXT_MAX} are searched for, and no"
        " id is longer"
    )


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_NUMBER_MAX))):
        return None
    return number if (number := int(text)) <= _NUMBER_MAX else None


def _key(text: str) -> KeyParts | None:
    """Read an idempotency key in either of its forms: see `models.notices.key`."""
    for joint in (SAFE_JOINT, JOINT):
        parts = text.split(joint)
        if len(parts) != _PARTS:
            continue
        operator, ticket_id, action, digits = parts
        generation = _number(digits)
        if operator and ticket_id and action in set(Action) and generation is not None:
            return KeyParts(operator, ticket_id, Action(action), min(generation, _GENERATION_MAX))
    return None


def _transaction(text: str) -> str | None:
    """Return the id as wallets get it: a UUID in lower case, with hyphens."""
    try:
        return str(UUID(text))
    except ValueError:
        return None

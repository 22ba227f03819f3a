"""Whether a text, a JSON value or raw input names a player, and how it reads without the name."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from unicodedata import normalize

from models.events.format import DATA_NAMES, EVENT_NAMES
from models.events.lottery_format import LINE_NAMES, MESSAGE_NAMES

ERASED: Final = "(erased)"  # stands where a text was
PLAYER_FIELDS: Final = frozenset({"player_id", "user_id", "username"})
_FREE_TEXTS: Final = frozenset({"reason"})
_CONTAINERS: Final = frozenset({"data", "lines", "meta"})
# A value under one of these names is no player, even if it reads the same: "7" is a draw as well.
_OTHER_THINGS: Final = (
    EVENT_NAMES.known | DATA_NAMES.known | MESSAGE_NAMES.known | LINE_NAMES.known
) - (PLAYER_FIELDS | _FREE_TEXTS | _CONTAINERS)
_ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16-be")
_DEPTH_MAX: Final = 50


@dataclass(frozen=True)
class PlayerName:
    """A player's id, in the forms in which it can be written."""

    player_id: str

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """As it was given, and in Unicode's form NFC."""
        return tuple(dict.fromkeys((self.player_id, normalize("NFC", self.player_id))))

    @cached_property
    def quoted(self) -> tuple[str, ...]:
        """As PostgreSQL writes it as a string of a jsonb."""
        return tuple(json.dumps(form, ensure_ascii=False) for form in self.forms)

    @cached_property
    def _within_text(self) -> "re.Pattern[str]":
        """A form that is not a part of a longer word or number."""
        written = "|".join(map(re.escape, self.forms))
        return re.compile(rf"(?<!\w)(?:{written})(?!\w)")

    @cached_property
    def _escaped(self) -> tuple[str, ...]:
        return tuple(json.dumps(form)[1:-1] for form in self.forms)

    def is_in_text(self, text: str | None) -> bool:
        """Return whether *text* holds the id as a word of its own."""
        return text is not None and self._within_text.search(text) is not None

    def is_in_json(self, value: object) -> bool:
        """Return whether a string of *value* that may name a player does."""
        return any(self._is_named(name, inner) for name, inner in _scalars(value))

    def is_in_raw(self, raw: bytes) -> bool:
        """Return whether input as it came names the player, whether or not it is JSON."""
        try:
            return self.is_in_json(json.loads(raw))
        except (ValueError, RecursionError):
            pass
        for encoding in _ENCODINGS:
            text = raw.decode(encoding, errors="replace")
            if self.is_in_text(text) or any(form in text for form in self._escaped):
                return True
        return False

    def removed_from(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """Return a JSON value in which every text that holds the id is replaced."""
        match value:
            case str():
                return ERASED if self.is_in_text(value) else value
            case list():
                return [self.removed_from(inner) for inner in value]
            case dict():
                return {
                    self.removed_from(name): self.removed_from(inner)
                    for name, inner in value.items()
                }
            case _:
                return value

    def _is_named(self, name: str, value: object) -> bool:
        if name in _OTHER_THINGS:
            return False
        if isinstance(value, str):
            return self.is_in_text(value) or (name == "body" and self._is_in_base64(value))
        return name in PLAYER_FIELDS and not isinstance(value, bool) and str(value) in self.forms

    def _is_in_base64(self, value: str) -> bool:
        """A Celery message carries its arguments like this."""
        try:
            decoded = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            return False
        return self.is_in_raw(decoded)


def _scalars(value: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Yield every string and number in *value* with the name it stands under, names as well."""
    if depth > _DEPTH_MAX:
        return
    match value:
        case dict():
            for key, inner in value.items():
                yield "", key
                yield from _scalars(inner, str(key), depth + 1)
        case list():
            for inner in value:
                yield from _scalars(inner, name, depth + 1)
        case str() | int() | float():
            yield name, value
        case _:
            pass

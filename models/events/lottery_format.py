"""The format of a lottery message (contracts 3.2), as Pydantic types.

We are the receiver: required are the fields that the vendor's page marks so, and forms are as
lenient as its schema and its sample. Fields that it does not name are accepted and stored.
"""

from collections.abc import Mapping
from functools import lru_cache
from sys import float_info
from typing import Annotated, Any, Final, Literal, Required

from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

from models.events.field_names import KnownNames
from models.events.format import NO_NUL, Text, Timestamp
from models.events.stream_contract import ID_CHARACTERS_MAX
from models.platform.timestamps import parse_timestamp

# The vendor's ids are digits. Those that become ids of ours are limited to our length.
Digits = Annotated[str, StringConstraints(max_length=ID_CHARACTERS_MAX, pattern=r"^[0-9]+$")]
LongDigits = Annotated[str, StringConstraints(max_length=255, pattern=r"^[0-9]+$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
_LARGEST: Final = float_info.max
Number = Annotated[  # validated, then stored as it was written
    float,
    Field(allow_inf_nan=False, json_schema_extra={"minimum": -_LARGEST, "maximum": _LARGEST}),
]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, json_schema_extra={"maximum": _LARGEST})]
Numbers = list[Number]


class LotteryLine(TypedDict, total=False):
    """One line of a ticket: the fields that both kinds of message may have."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # Pydantic's documented place for a TypedDict's settings

    line_id: Required[Number]
    special_numbers: Numbers | None
    matched_special_numbers: Numbers | None
    is_free_bet: bool | None
    is_quick_pick: bool | None
    meta: dict[str, Any] | None


class BetLine(LotteryLine, total=False):
    """What was bet on."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    numbers: Required[Numbers]


class SettlementLine(LotteryLine, total=False):
    """Its result."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    matched_numbers: Required[Numbers]
    is_winning_line: Required[bool]


class LotteryMessageFields(TypedDict, total=False):
    """The fields that both kinds of message have."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    ticket_id: Required[Digits]
    lottery_id: Required[LongDigits]
    lottery_name: Required[Text]
    lottery_type: Required[Text]
    draw_id: Required[Digits]
    draw_date: Required[Timestamp]  # the hour has one digit in the vendor's sample (contracts 3.3)
    currency: Required[Text]  # checked where its amount is converted
    exchange_rate: Required[Amount]
    draw_numbers: Numbers | None
    draw_special_numbers: Numbers | None
    bonus_code: Text | None
    amount: Required[Amount]  # in units of the currency, not in cents
    discount_amount: Amount | None
    origin: Required[Text]
    timestamp: Required[Timestamp]
    user_id: Required[Name]
    device_type: Text | None
    meta: dict[str, Any] | None
    skip_publishing: bool | None


class LotteryBet(LotteryMessageFields, total=False):
    """A ticket was bought for a draw."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    type: Required[Literal["Bet"]]
    lines: Required[list[BetLine]]


class LotterySettlement(LotteryMessageFields, total=False):
    """The draw was held. A later settlement replaces an earlier one: there is no rollback."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    type: Required[Literal["Settlement"]]
    lines: Required[list[SettlementLine]]


LotteryMessage = Annotated[LotteryBet | LotterySettlement, Field(discriminator="type")]


def _names(*kinds: type) -> KnownNames:
    return KnownNames.of(name for kind in kinds for name in kind.__annotations__)


MESSAGE_NAMES: Final = _names(LotteryMessageFields, LotteryBet, LotterySettlement)
LINE_NAMES: Final = _names(LotteryLine, BetLine, SettlementLine)
_OPEN: Final = frozenset({"meta"})  # holds whatever the vendor likes
_PLAIN_NAMES: Final = MESSAGE_NAMES.known - _OPEN
# By the kind of message: a line of the other kind may hold anything under the same name.
_PLAIN_LINE_NAMES: Final = {
    kind: frozenset(names.known - _OPEN)
    for kind, names in (
        ("Bet", _names(LotteryLine, BetLine)),
        ("Settlement", _names(LotteryLine, SettlementLine)),
    )
}
_DRAWS: Final = 256  # whose dates are kept: a draw settles its tickets together

draw_time = lru_cache(_DRAWS)(parse_timestamp)
"""As `parse_timestamp`: the date of a draw, which all of its messages name alike."""


def is_plain(raw: bytes, message: Mapping[str, object]) -> bool:
    """Return whether a valid *message* needs no further check of its names, keys and texts.

    It has known fields only, with nothing in `meta`, and no escapes in its text *raw*: no text
    holds a NUL or half of a surrogate pair, and each colon follows a key or is part of a text. So
    no key is hidden behind another where there are as many colons as keys, and colons in the times.
    Nearly all messages are plain; of the others nothing is known.
    """
    if b"\\" in raw or not _has_names(message, _PLAIN_NAMES):
        return False
    kind, lines = message.get("type"), message.get("lines")
    drawn, at = message.get("draw_date"), message.get("timestamp")
    if not (isinstance(kind, str) and isinstance(drawn, str) and isinstance(at, str)):
        return False
    known = _PLAIN_LINE_NAMES.get(kind)
    if known is None or not isinstance(lines, list):
        return False
    colons = len(message) + drawn.count(":") + at.count(":")
    for line in lines:
        if not isinstance(line, dict) or not _has_names(line, known):
            return False
        colons += len(line)
    return raw.count(b":") == colons


def _has_names(given: Mapping[str, object], known: frozenset[str]) -> bool:
    return given.keys() <= known or (given.keys() - _OPEN <= known and not given["meta"])

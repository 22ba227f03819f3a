"""The format of a published event, as Pydantic types that validate it and return plain dicts.

Field names are the partner protocol's own (contracts 1.4, contracts 1.5). Unknown fields are kept
in the log and never sent on.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NotRequired, Required

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

from models.events.field_names import KnownNames
from models.events.stream_contract import ID_CHARACTERS_MAX, MINOR_UNITS_MAX
from models.platform.timestamps import TIMESTAMP_PATTERN
from models.vocabulary import Action

# Printable characters without spaces: no control, format or separator characters.
_PRINTABLE = r"^[^\p{C}\p{Z}]*$"
# Unicode counts these as marks, letters or symbols, but a screen shows nothing for them: joiners
# and vowels without a form, fillers of Hangul, variation selectors, the empty Braille pattern.
_UNSEEN: Final = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef"  # the character itself: not every parser reads an escape of five digits
)
# Two ids that look the same must not be two tickets. No pattern can state the form NFC, so
# `check_normal` of models.events.messages checks it as well.
Id = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=ID_CHARACTERS_MAX, pattern=_PRINTABLE.replace("Z}", "Z}" + _UNSEEN)
    ),
    Field(description="Printable characters without spaces, in Unicode's form NFC."),
]
# What is sent on to a PAM holds no space: its rule for signing a text with one is ambiguous
# (contracts 5.1).
Word = Annotated[str, StringConstraints(max_length=255, pattern=_PRINTABLE)]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL's type text cannot hold one
Text = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
NUMBER_MAX: Final = 2**31 - 1


def _whole(number: float) -> int:
    """Return 500 for 500.0: JSON has one kind of number, and JSON Schema agrees."""
    if not number.is_integer():
        raise ValueError("not a whole number")
    return int(number)


def _integer(least: int, most: int) -> Any:  # noqa: ANN401 - a type, for a type checker an int
    bounds = Field(ge=least, le=most)
    schema = {"type": "integer", "minimum": least, "maximum": most}
    exact = Annotated[int, bounds]
    with_point = Annotated[float, bounds, AfterValidator(_whole)]
    return Annotated[exact | with_point, Field(union_mode="left_to_right"), WithJsonSchema(schema)]


if TYPE_CHECKING:
    Cents = int
    Number = int
else:
    Cents = _integer(0, MINOR_UNITS_MAX)  # the currency's minor unit, by ISO 4217
    Number = _integer(1, NUMBER_MAX)
Percent = Annotated[
    int | float,  # stored as it was written: 10 or 10.0
    Field(ge=0, le=1000, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1000}),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
# The trace that an event belongs to. Nothing is refused for it: a malformed one is dropped.
Traceparent = Annotated[
    Any,
    Field(
        description="The trace it belongs to, as W3C Trace Context writes it."
        " A malformed one is dropped; the event counts all the same.",
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
# RFC 3339 with an offset, leniently. The pattern is for the schema alone: `parse_timestamp` reads
# the text, and describes what is wrong with any other.
Timestamp = Annotated[str, Field(json_schema_extra={"pattern": TIMESTAMP_PATTERN})]


class EventData(TypedDict, total=False):
    """The facts of an event. Which of them are required depends on the action."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # Pydantic's documented place for a TypedDict's settings

    operator: Required[Id]
    ticket_id: Required[Id]
    ticket_code: Id | None
    player_id: Word | None
    psp: Word | None
    price: Cents | None
    stake: Cents | None
    wht_amount: Cents | None
    wht: Percent | None
    ext_amount: Cents | None
    ext: Percent | None
    ext_type: Word | None
    gross_payout: Cents | None
    net_payout: Cents | None
    currency: Currency | None
    atag: Word | None
    rtag: Word | None
    ticket_type: Word | None
    reason: Text | None
    game: Text | None
    game_id: Text | None
    feature_buy: bool | None
    correction: bool | None


class StreamEvent(TypedDict):
    """One event as published. `event_id` and `occurred_at` may be absent (then a retry counts)."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # as above

    event_id: NotRequired[Id | None]
    occurred_at: NotRequired[Timestamp | None]
    action: Literal[
        "ticket_open",
        "ticket_create",
        "ticket_reserve",
        "ticket_paid",
        "ticket_update",
        "ticket_discard",
        "ticket_win",
        "ticket_lost",
        "ticket_void",
        "ticket_refund",
        "ticket_rollback",
    ]
    sequence: NotRequired[Number | None]
    traceparent: NotRequired[Traceparent]
    specversion: NotRequired[None]  # what has one is a CloudEvent: `cloud_event_format`
    data: EventData


LENIENT_NAMES: Final = frozenset({"traceparent"})  # of no account for a ticket
_EVENT_FIELDS: Final = (
    StreamEvent.__required_keys__ | StreamEvent.__optional_keys__
) - LENIENT_NAMES
_DATA_FIELDS: Final = EventData.__required_keys__ | EventData.__optional_keys__
EVENT_NAMES: Final = KnownNames.of(
    _EVENT_FIELDS,
    elsewhere={name: f"data.{name}" for name in _DATA_FIELDS},
    lenient=LENIENT_NAMES,
)
DATA_NAMES: Final = KnownNames.of(
    _DATA_FIELDS, elsewhere={name: f"{name}, beside data" for name in _EVENT_FIELDS}
)

_TICKET_FACTS = (
    "ticket_code",
    "player_id",
    "price",
    "stake",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "gross_payout",
    "net_payout",
    "currency",
    "ticket_type",
)
# Besides `operator` and `ticket_id`; `psp`, `atag` and `rtag` may be null (contracts 1.5).
REQUIRED: dict[Action, tuple[str, ...]] = {
    Action.CREATE: _TICKET_FACTS,
    Action.RESERVE: _TICKET_FACTS,
    Action.UPDATE: _TICKET_FACTS,
}


def is_missing(value: object) -> bool:
    """Return whether a fact is missing: an empty text says as little as none."""
    return value is None or (isinstance(value, str) and not value.strip())


# In the order in which a PAM gets them (contracts 1.4).
MONEY_FIELDS = (
    "price",
    "stake",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "gross_payout",
    "net_payout",
)
